# zlib's streams, declarations only. Written to the 1.2.11 API.

cdef extern from *:
    """
    #define ZLIB_CONST 1
    #include <zlib.h>
    """

cdef extern from "zlib.h" nogil:
    ctypedef struct z_stream:
        const unsigned char *next_in
        unsigned int avail_in
        unsigned char *next_out
        unsigned int avail_out
        unsigned long total_in                  # since it was reset
        int data_type
        const char *msg

    const int Z_OK
    const int Z_STREAM_END
    const int Z_BUF_ERROR
    const int Z_DATA_ERROR
    const int Z_MEM_ERROR
    const int Z_NO_FLUSH
    const int Z_SYNC_FLUSH
    const int Z_DEFLATED
    const int Z_DEFAULT_STRATEGY
    const int Z_DEFAULT_COMPRESSION

    int deflateInit2(z_stream *stream, int level, int method, int window_bits, int memory_level, int strategy)
    int deflate(z_stream *stream, int flush)
    int deflateReset(z_stream *stream)
    int deflateEnd(z_stream *stream)
    unsigned long deflateBound(z_stream *stream, unsigned long size)
    int inflateInit2(z_stream *stream, int window_bits)
    int inflate(z_stream *stream, int flush)
    int inflateReset2(z_stream *stream, int window_bits)
    int inflateResetKeep(z_stream *stream)      # the window stays
    int inflateEnd(z_stream *stream)
    const char *zlibVersion()
