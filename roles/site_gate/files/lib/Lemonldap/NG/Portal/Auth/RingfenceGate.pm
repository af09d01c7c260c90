# SPDX-License-Identifier: GPL-3.0-or-later
# The password of the gate, with its lockout. See Ringfence::Gate.
package Lemonldap::NG::Portal::Auth::RingfenceGate;

use strict;
use Mouse;
use Lemonldap::NG::Portal::Main::Constants qw(PE_BADCREDENTIALS PE_OK PE_WAIT);
use Ringfence::Gate ();

extends 'Lemonldap::NG::Portal::Auth::_WebForm';

our $VERSION = '1.0.0';

sub authenticate {
    my ( $self, $req ) = @_;
    my ( $verdict, $seconds ) =
      Ringfence::Gate::check_password( $req->user, $req->data->{password}, $req->address );
    return PE_OK if $verdict eq 'ok';
    $self->setSecurity($req);
    return PE_BADCREDENTIALS if $verdict ne 'locked';
    $req->lockTime($seconds);
    return PE_WAIT;
}

sub setAuthSessionInfo {
    my ( $self, $req ) = @_;
    $req->sessionInfo->{_user} = $req->user;
    return $self->SUPER::setAuthSessionInfo($req);
}

sub authLogout {
    return PE_OK;
}

1;
