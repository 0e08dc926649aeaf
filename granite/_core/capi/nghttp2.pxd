"""nghttp2, declarations only. Written to the 1.52 API."""

cdef extern from "nghttp2/nghttp2.h" nogil:
    ctypedef struct nghttp2_info:
        int age
        int version_num
        const char *version_str

    const nghttp2_info *nghttp2_version(int least_version)
