"""Settings of the section "TLS". Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean, choice, flag_choice, header_value, path, paths, text
from granite.settings.quantities import integer, seconds

SECTION = Section(
    "TLS",
    Setting(
        "ssl_certificate",
        paths(),
        (),
        "File with the server's certificate chain, in PEM; with it, connections are TLS. "
        "Several are chosen by the name that a client asks for, and by what it can verify.",
        aliases=("ssl_cert", "certfile"),
    ),
    Setting(
        "ssl_keyfile",
        paths(),
        (),
        "File with the certificate's private key, in PEM, one for each certificate; without it, "
        "the certificate's file.",
        aliases=("ssl_key", "keyfile"),
    ),
    Setting(
        "ssl_keyfile_password",
        text(optional=True),
        None,
        "Password of the private key.",
        aliases=("ssl_key_password",),
        secret=True,
    ),
    Setting(
        "ssl_keyfile_password_file",
        path(),
        None,
        "File whose first line is the password of the private key.",
    ),
    Setting(
        "ssl_reload",
        boolean(),
        False,
        "Show new clients new certificates as soon as the files have changed, without new workers.",
    ),
    Setting(
        "ssl_redirect_port",
        integer(0, 65535),
        0,
        "Port at which plain HTTP is answered with a redirect to HTTPS; 0: none.",
    ),
    Setting(
        "ssl_hsts",
        header_value(),
        "",
        "Value of the field Strict-Transport-Security in responses over TLS, such as "
        "max-age=31536000; empty to omit it.",
    ),
    Setting(
        "ssl_protocol_min",
        choice("tls1.2", "tls1.3", synonyms={"1.2": "tls1.2", "1.3": "tls1.3"}),
        "tls1.3",
        "Oldest version of TLS that is accepted; for TLS 1.2, OpenSSL's libssl is loaded.",
    ),
    Setting(
        "ssl_ca",
        path(),
        None,
        "File with the certificates of the authorities that clients' certificates are checked by.",
        aliases=("ca_certs",),
    ),
    Setting(
        "ssl_crl",
        paths(),
        (),
        "Files with lists of revoked certificates of clients, in PEM; each authority needs one.",
    ),
    Setting(
        "ssl_client_verify",
        flag_choice("none", "optional", "required", on="required", off="none"),
        "none",
        "Whether clients have to show a certificate, or may; one that is wrong is refused.",
    ),
    Setting(
        "ssl_verify_depth",
        integer(0, 15),
        4,
        "Most authorities between a client's certificate and one of ssl_ca.",
    ),
    Setting(
        "ssl_handshake_timeout",
        seconds(86400),
        10.0,
        "Time from a connection's beginning to the end of its TLS handshake; 0 sets no limit.",
    ),
    Setting(
        "ssl_ticket_lifetime",
        seconds(7 * 86400),
        7200.0,
        "Time for which a client may resume its session with a ticket, in whole seconds; the keys "
        "of tickets change as often. 0: there are no tickets.",
    ),
)
