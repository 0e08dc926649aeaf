"""Settings of the section "Proxies". Declarations only."""

from granite.settings.base import Alias, Section, Setting
from granite.settings.kinds import flag_choice
from granite.settings.networks import BELIEVED, fields, networks, proxy_headers

SECTION = Section(
    "Proxies",
    Setting(
        "forwarded_allow_ips",
        networks(),
        ("127.0.0.1", "::1", "unix:"),
        "Proxies that are believed when they say who their client is: addresses, networks, unix: "
        "for whoever comes over a Unix socket, * for everybody; empty: nobody.",
        fallback="FORWARDED_ALLOW_IPS",
    ),
    Setting(
        "forwarded_headers",
        fields(),
        BELIEVED,
        "Headers in which the proxies in forwarded_allow_ips are believed: only those that each of "
        "them sets or removes. x-forwarded stands for all five of that name, none for no header.",
        aliases=(Alias("proxy_headers", proxy_headers()),),
    ),
    Setting(
        "proxy_protocol",
        flag_choice("off", "on", "v1", "v2", on="on", off="off", synonyms={"auto": "on"}),
        "off",
        "Whether the proxies in proxy_protocol_allow_ips begin each connection with a header of "
        "the PROXY protocol, which is required of them then; v1 and v2 allow that version only.",
    ),
    Setting(
        "proxy_protocol_allow_ips",
        networks(),
        (),
        "Proxies that speak the PROXY protocol, written as in forwarded_allow_ips; empty: the same "
        "ones.",
        aliases=("proxy_allow_ips", "proxy_allow_from"),
    ),
)
