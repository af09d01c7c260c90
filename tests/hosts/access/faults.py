# SPDX-License-Identifier: GPL-3.0-or-later
"""Known faults over all systems at once: what was done, which control must say so, of which row.

`row` is the access as `SYSTEM ACCOUNT`, or for what is no access (a domain, an attestation) the
target that was asked and the thing. The faults of the host are of seed.sh; those beside it of
everywhere.py. test_seeded.py has every fault of the host by its message; here are some of each.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A line of the table."""

    system: str
    seeded: str
    control: str
    row: str


FAULTS = [
    Fault("server", "the account and key of lena, who left", "access_leaver",
          "server:faulty lena"),
    Fault("server", "useradd ghost, whom the register does not know", "access_account_owner",
          "server:faulty ghost"),
    Fault("server", "a key of nobody in ben's authorized_keys", "access_key_owner",
          "server:faulty ben"),
    Fault("server", "mark's key opens site_plain too", "access_key_shared",
          "server:faulty site_plain"),
    Fault("server", "the account team with the keys of two people", "access_shared_account",
          "server:faulty team"),
    Fault("server", "dora signed in 90 days ago", "access_dormant", "server:faulty dora"),
    Fault("server", "mark is in sudo, and his key is one factor", "access_mfa",
          "server:faulty mark"),
    Fault("server", "an RSA key of 1024 bits for wes", "access_key_strength",
          "server:faulty wes"),
    Fault("server", "vic's employer has no contract any more", "access_vendor_contract",
          "server:faulty vic"),
    Fault("server", "a vendor's key without from=", "access_vendor_addresses",
          "server:faulty care_tim"),
    Fault("server", "bea is in the group docker", "access_beyond_grant", "server:faulty bea"),
    Fault("server", "a setuid file that no package brought", "access_setuid",
          "server:faulty root"),
    Fault("server", "a password kept in MD5 for pat", "access_password_kept",
          "server:faulty pat"),
    Fault("database", "report@% without TLS", "access_database_tls",
          "database:faulty/mariadb report"),
    Fault("database", "oldsite, whose database is gone", "access_database_unused",
          "database:faulty/mariadb oldsite"),
    Fault("database", "helper with all rights by a role", "access_account_owner",
          "database:faulty/mariadb helper"),
    Fault("WordPress", "an administrator wp_support", "access_cms_administrator",
          "cms:faulty/shop.example wp_support"),
    Fault("WordPress", "an application password of an administrator", "access_mfa",
          "cms:faulty/blog.example boss"),
    Fault("Joomla", "a super user sysop", "access_cms_administrator",
          "cms:faulty/plain.example sysop"),
    Fault("web server", "a user of a basic-auth file, kept in MD5", "access_password_kept",
          "web:faulty/plain.example staff"),
    Fault("IAM", "the password of lena, who left", "access_leaver", "console:cloud lena"),
    Fault("IAM", "create_user nobody", "access_account_owner", "console:cloud nobody"),
    Fault("IAM", "ben, who may do all, has no device", "access_mfa", "console:cloud ben"),
    Fault("IAM", "gus, to whom nobody granted it", "access_ungranted", "console:cloud gus"),
    Fault("IAM", "omar may attach policies", "access_beyond_grant", "console:cloud omar"),
    Fault("IAM", "one user for two people", "access_shared_account", "console:cloud both"),
    Fault("IAM", "an access key of 800 days", "access_key_age", "console:cloud uploader"),
    Fault("IAM", "a role that another account assumes", "access_account_owner",
          "console:cloud care-support"),
    Fault("IAM", "an access key of root", "access_cloud_root", "cloud root"),
    Fault("IAM", "root without a device", "access_cloud_root_mfa", "cloud root"),
    Fault("IAM", "root's ways in are one factor each", "access_mfa", "console:cloud root"),
    Fault("S3", "an ACL for everybody", "access_account_owner",
          "bucket:cloud/acme-backups global/AllUsers"),
    Fault("S3", "another account in the bucket's policy", "access_account_owner",
          "bucket:cloud/acme-backups AWS arn:aws:iam::999999999999:root"),
    Fault("S3", "who uploads may delete versions", "access_beyond_grant",
          "bucket:cloud/acme-backups uploader"),
    Fault("KMS", "the key's policy lets lena decrypt", "access_leaver",
          "bucket:cloud/acme-backups lena"),
    Fault("CDN77", "the key to an origin is nobody's", "access_account_owner",
          "cdn:edgeway media"),
    Fault("CDN77", "a site answers around its CDN", "access_cdn_origin",
          "domains shop/shop_faulty"),
    Fault("Mailchimp", "an application linked by a stranger", "access_account_owner",
          "console:mailer unknown@example.net"),
    Fault("Mailchimp", "an application linked by who left", "access_leaver",
          "console:mailer lena@agency.example"),
    Fault("Mailchimp", "the owner's role was not granted", "access_beyond_grant",
          "console:mailer ben@agency.example"),
    Fault("Mailchimp", "its owner signed in long ago", "access_dormant",
          "console:mailer ben@agency.example"),
    Fault("mySites.guru", "the account is nobody's", "access_account_owner",
          "console:guru audit@agency.example"),
    Fault("GoDaddy", "not locked, and the registry is silent", "access_domain_lock",
          "domains blog.example"),
    Fault("registry", "not locked", "access_domain_lock", "domains shop.example"),
    Fault("registry", "expires in ten days", "access_domain_expiry", "domains plain.example"),
    Fault("DNS", "not signed", "access_domain_dnssec", "domains blog.example"),
    Fault("attestation", "Fasthosts attested nothing", "access_attestation_missing",
          "register fast"),
    Fault("attestation", "gone_staff has ended", "access_attestation_expired",
          "register gone_staff"),
    Fault("attestation", "all have a second factor, and ben has none",
          "access_attestation_contradicted", "console:cloud ben"),
]  # fmt: skip

# What nobody can tell of the faulty one, and is no pass: control, row.
NOT_TOLD = {
    ("access_dormant", "web:faulty/plain.example staff"),
    ("access_mfa", "console:mailer ben@agency.example"),
    ("access_dormant", "console:mailer lena@agency.example"),
}

# What no interface tells, of the clean one too: it has to be attested.
TO_ATTEST = {
    ("registrar", "users and delegates"), ("registrar", "second factor"), ("registrar", "API keys"),
    ("edgeway", "users"), ("edgeway", "second factor"), ("edgeway", "API tokens"),
    ("mailer", "other users"), ("mailer", "second factor"), ("mailer", "other API keys"),
    ("guru", "other users"), ("guru", "second factor"),
}  # fmt: skip
