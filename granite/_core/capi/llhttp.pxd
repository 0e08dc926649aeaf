# llhttp, as far as granite uses it.

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef extern from "llhttp.h":
    const int LLHTTP_VERSION_MAJOR
    const int LLHTTP_VERSION_MINOR
    const int LLHTTP_VERSION_PATCH

    ctypedef enum llhttp_type_t:
        HTTP_REQUEST

    ctypedef enum llhttp_errno_t:
        HPE_OK
        HPE_INVALID_VERSION
        HPE_PAUSED
        HPE_PAUSED_H2_UPGRADE
        HPE_USER

    ctypedef enum llhttp_method_t:
        HTTP_HEAD
        HTTP_CONNECT
        HTTP_OPTIONS

    ctypedef struct llhttp_t:
        void *data
        uint64_t content_length
        uint8_t method
        uint8_t http_major
        uint8_t http_minor
        uint8_t upgrade
        uint16_t flags

    # A callback may leave an exception set: llhttp_execute() returns an error then.
    ctypedef int (*llhttp_data_cb)(llhttp_t *, const char *, size_t) except -1
    ctypedef int (*llhttp_cb)(llhttp_t *) except -1

    ctypedef struct llhttp_settings_t:
        llhttp_data_cb on_protocol
        llhttp_data_cb on_url
        llhttp_data_cb on_header_field
        llhttp_data_cb on_header_value
        llhttp_cb on_header_value_complete
        llhttp_data_cb on_chunk_extension_name
        llhttp_data_cb on_chunk_extension_value
        llhttp_cb on_headers_complete
        llhttp_data_cb on_body
        llhttp_cb on_message_complete

    void llhttp_settings_init(llhttp_settings_t *)
    void llhttp_init(llhttp_t *, llhttp_type_t, const llhttp_settings_t *)
    llhttp_errno_t llhttp_execute(llhttp_t *, const char *, size_t)
    void llhttp_resume(llhttp_t *)
    int llhttp_should_keep_alive(const llhttp_t *)
    const char *llhttp_get_error_reason(const llhttp_t *)
    const char *llhttp_get_error_pos(const llhttp_t *)
    const char *llhttp_method_name(llhttp_method_t)
