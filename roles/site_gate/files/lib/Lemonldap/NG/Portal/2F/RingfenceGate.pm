# SPDX-License-Identifier: GPL-3.0-or-later
# The second factor of the gate: a code that works once, or a recovery code. See Ringfence::Gate.
package Lemonldap::NG::Portal::2F::RingfenceGate;

use strict;
use Mouse;
use Lemonldap::NG::Portal::Main::Constants qw(
  PE_BADOTP
  PE_FORMEMPTY
  PE_OK
  PE_SENDRESPONSE
  PE_WAIT
);
use Ringfence::Gate ();

extends 'Lemonldap::NG::Portal::Main::SecondFactor';

our $VERSION = '1.0.0';

# The portal's own page for codes posts to /totp2fcheck.
has prefix => ( is => 'ro', default => 'totp' );
has logo   => ( is => 'rw', default => 'totp.png' );

sub run {
    my ( $self, $req, $token ) = @_;
    $req->response( $self->p->sendHtml( $req, 'totp2fcheck', params => { TOKEN => $token } ) );
    return PE_SENDRESPONSE;
}

sub verify {
    my ( $self, $req, $session ) = @_;
    my $code = $req->param('code');
    return PE_FORMEMPTY unless length( $code // '' );
    my ( $verdict, $seconds ) =
      Ringfence::Gate::check_code( $session->{_user}, $code, $req->address );
    return PE_OK     if $verdict eq 'ok';
    return PE_BADOTP if $verdict ne 'locked';
    $req->lockTime($seconds);
    return PE_WAIT;
}

1;
