#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, The Ringfence developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: third_party_access_info
short_description: Who can get at what is kept at a third party
version_added: 0.1.0
description:
  - Asks the interface of a registrar, a CDN, a mailing service or a site auditor what it tells of accounts, keys, linked applications, domains and protections.
  - Picks named fields only; transfer codes, tokens and passwords that the answers carry too are never returned.
  - What an interface does not tell, or refuses to, is told as not collected, and never as a "no". It does not fail for that.
  - Reads only. Runs on the controller.
author:
  - The Ringfence developers (@ringfence)
options:
  party:
    description: The third party, by its id in third_parties.yml; the collection is kept under it.
    type: str
    required: true
  connector:
    description: Whose interface it is.
    type: str
    required: true
    choices: [cdn77, godaddy, mailchimp, mysites_guru]
  key:
    description: The API key (GoDaddy, Mailchimp), the API token (CDN77) or the OAuth2 access token (mySites.guru).
    type: str
    required: true
  secret:
    description: The key's secret, where the interface has one (GoDaddy).
    type: str
    default: ''
  url:
    description: Another address of the interface than the vendor's own, such as GoDaddy's test system.
    type: str
    default: ''
  emails:
    description: E-mail addresses of somebody who leaves, to look up among the members and customers that Mailchimp keeps. Nobody else is listed.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that each answer may take.
    type: int
    default: 20
extends_documentation_fragment:
  - ringfence.hosting.reads
seealso:
  - module: ringfence.hosting.access_info
  - module: ringfence.hosting.domain_access_info
"""

EXAMPLES = r"""
- name: Who can get at the mailing lists
  ringfence.hosting.third_party_access_info:
    party: mailchimp
    connector: mailchimp
    key: "{{ vault_mailchimp_key }}"
  delegate_to: localhost
  register: found

- name: Which domains the registrar holds
  ringfence.hosting.third_party_access_info:
    party: godaddy
    connector: godaddy
    key: "{{ vault_godaddy_key }}"
    secret: "{{ vault_godaddy_secret }}"
  delegate_to: localhost
"""

RETURN = r"""
access:
  description: What was found, in the shape that the evidence keeps; see M(ringfence.hosting.access_info).
  returned: always
  type: dict
access_target:
  description: The value of O(party).
  returned: always
  type: str
  sample: godaddy
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row, _third_parties


def main() -> None:
    """Parse, ask, exit."""
    module = AnsibleModule(
        argument_spec={
            "party": {"type": "str", "required": True},
            "connector": {
                "type": "str",
                "required": True,
                "choices": ["cdn77", "godaddy", "mailchimp", "mysites_guru"],
            },
            "key": {"type": "str", "required": True, "no_log": True},
            "secret": {"type": "str", "default": "", "no_log": True},
            "url": {"type": "str", "default": ""},
            "emails": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    given = module.params
    settings = _third_parties.Settings(
        given["key"], given["secret"], given["url"], float(given["timeout"]), (*given["emails"],)
    )
    try:
        found = _third_parties.collect(given["connector"], settings)
    except _third_parties.SettingError as error:
        module.fail_json(msg=f"{given['party']}: {error}")
    document = _access_row.document(
        "third_party_access_info", _access_row.utc_now(), found.rows, found.covered, found.facts
    )
    module.exit_json(changed=False, access=document, access_target=given["party"])


if __name__ == "__main__":
    main()
