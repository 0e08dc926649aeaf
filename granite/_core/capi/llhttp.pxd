# llhttp, as far as granite uses it.

from libc.stdint cimport uint8_t, uint64_t

cdef extern from "llhttp.h":
    const int LLHTTP_VERSION_MAJOR
    const int LLHTTP_VERSION_MINOR
    const int LLHTTP_VERSION_PATCH

    ctypedef enum llhttp_type_t:
        HTTP_REQUEST

    ctypedef enum llhttp_errno_t:
        HPE_OK
        HPE_PAUSED
        HPE_USER

    ctypedef struct llhttp_t:
        void *data
        uint64_t content_length
        uint8_t http_minor
        uint8_t upgrade

    # A callback may leave an exception set: llhttp_execute() returns an error then.
    ctypedef int (*llhttp_data_cb)(llhttp_t *, const char *, size_t) except -1
    ctypedef int (*llhttp_cb)(llhttp_t *) except -1

    ctypedef struct llhttp_settings_t:
        llhttp_data_cb on_header_field
        llhttp_data_cb on_header_value
        llhttp_cb on_header_value_complete
        llhttp_data_cb on_chunk_extension_name
        llhttp_cb on_chunk_extension_name_complete
        llhttp_data_cb on_chunk_extension_value
        llhttp_cb on_chunk_extension_value_complete
        llhttp_cb on_headers_complete
        llhttp_data_cb on_body
        llhttp_cb on_message_complete

    void llhttp_settings_init(llhttp_settings_t *)
    void llhttp_init(llhttp_t *, llhttp_type_t, const llhttp_settings_t *)
    llhttp_errno_t llhttp_execute(llhttp_t *, const char *, size_t)
    const char *llhttp_get_error_reason(const llhttp_t *)
    const char *llhttp_get_error_pos(const llhttp_t *)
