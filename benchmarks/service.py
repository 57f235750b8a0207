"""What a request to `evalkit serve` costs beside `restore()` in one's own process.

``python benchmarks/service.py`` starts a service, and asks it in turns with a restorer
that this process has loaded for the same picture of 512x512 px under
`realesrgan-x4plus`: by HTTP from PNG to PNG, and from array to array. It prints each
pair's wall times and the median ratio with its range, and what of it packing the
output takes. At most 1.03 is the aim.
"""

import io
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
from PIL import Image
from skimage import data

from evalkit.images.encode import encoded
from evalkit.restorers import load_restorer

NAME, N_PAIRS, MOST = "realesrgan-x4plus", 5, 1.03


def main() -> None:
    picture = data.astronaut()
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    restorer = load_restorer(NAME)
    restorer.restore(picture)
    command = [sys.executable, "-m", "evalkit", "serve", "--port", "0", "--with", NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as service:
        (address,) = re.findall(r"page: (\S+)", service.stdout.readline())
        client = httpx.Client(base_url=address, timeout=600)

        def ask() -> None:
            files = {"file": ("picture.png", stream.getvalue())}
            client.post("api/upscale", files=files).raise_for_status()

        ask()
        ratios = []
        for _ in range(N_PAIRS):
            begin = time.perf_counter()
            output = restorer.restore(picture).image
            alone_s = time.perf_counter() - begin
            begin = time.perf_counter()
            ask()
            asked_s = time.perf_counter() - begin
            ratios.append(asked_s / alone_s)
            print(f"restore() {alone_s:.3f} s, a request {asked_s:.3f} s")
        service.terminate()
    begin = time.perf_counter()
    encoded(Path("output.png"), output)
    packing_s = time.perf_counter() - begin
    ratio = statistics.median(ratios)
    print(
        f"ratio {ratio:.3f}, from {min(ratios):.3f} to {max(ratios):.3f} (at most "
        f"{MOST:g}: {'met' if ratio <= MOST else 'missed'}); packing the output takes "
        f"{packing_s:.3f} s of it"
    )


if __name__ == "__main__":
    main()
