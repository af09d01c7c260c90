# SPDX-License-Identifier: GPL-3.0-or-later
# No captcha: the portal of Debian 12 loads one even where none is asked for, with a library of
# drawings behind it. The gate counts failures instead.
package Lemonldap::NG::Portal::Captcha::RingfenceGate;

use strict;
use Mouse;

extends 'Lemonldap::NG::Portal::Main::Plugin';

our $VERSION = '1.0.0';

sub init {
    return 1;
}

1;
