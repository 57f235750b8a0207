"""As a program: a subject's kernel; rates until killed, says what is acknowledged."""

import random
import sys
import time
import uuid
from pathlib import Path

from evalkit.rating import Session, Store

if __name__ == "__main__":
    store, folder = Store(Path(sys.argv[1])), Path(sys.argv[2])
    print("ready", flush=True)
    for subject in store.subjects():
        session = Session(store, subject, folder)
        view = session.handle({"type": "start"})
        while view["state"] == "rate":
            event = {
                "type": "answer",
                "item": view["item"]["id"],
                "attempt": uuid.uuid4().hex,
                "value": random.randint(1, 5),
                "seconds": 1,
            }
            view = session.handle(event)
            print(event["item"], event["value"], flush=True)
            time.sleep(random.uniform(0, 0.01))
