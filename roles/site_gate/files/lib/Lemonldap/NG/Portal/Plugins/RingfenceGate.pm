# SPDX-License-Identifier: GPL-3.0-or-later
# The page that a one-time link of the operator's leads to. See Ringfence::Gate.
#
# To open the link shows a button only: programs that preview links press none, so they neither see
# the secret nor use the link up.
package Lemonldap::NG::Portal::Plugins::RingfenceGate;

use strict;
use Mouse;
use Encode qw(decode_utf8 encode_utf8 is_utf8);
use IPC::Open2 qw(open2);
use Ringfence::Gate ();

extends 'Lemonldap::NG::Portal::Main::Plugin';

our $VERSION = '1.0.0';

my $STYLE = <<'CSS';
body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#f6f7f9}
main{background:#fff;border:1px solid #d0d7de;border-radius:.6rem;padding:1.5rem 2rem}
h1{font-size:1.35rem;margin-top:0}
label{display:block;margin:1rem 0 .2rem;font-weight:600}
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #8c959f;border-radius:.3rem}
button{font:inherit;margin-top:1.2rem;padding:.6rem 1.4rem;border:0;border-radius:.3rem;background:#0b5cad;color:#fff}
.bad{background:#fdecea;border-left:.3rem solid #b3261e;padding:.5rem 1rem}
code{font-size:1rem;overflow-wrap:anywhere}
svg{display:block;width:13rem;height:13rem;margin:1rem auto}
li{margin:.3rem 0}
CSS

sub init {
    my ($self) = @_;
    foreach my $add (qw(addUnauthRoute addAuthRoute)) {
        $self->$add( enrol => { ':link' => 'opened' }, ['GET'] );
        $self->$add( enrol => { ':link' => 'sent' },   ['POST'] );
    }
    return 1;
}

sub opened {
    my ( $self, $req ) = @_;
    my ( $token, $link ) = $self->_link($req);
    return $self->_ended unless $link;
    return _page( 'Set up your sign-in',
            "<p>This sets up the account <strong>$link->{user}</strong>: a password of your own, and an"
          . ' app on your telephone that shows a code.</p><p>Have an authenticator app ready. The link'
          . ' works once.</p><form method="post"><input type="hidden" name="step" value="begin">'
          . '<button>Begin</button></form>' );
}

sub sent {
    my ( $self, $req ) = @_;
    my ( $token, $link ) = $self->_link($req);
    return $self->_ended unless $link;
    return $self->_form( $link, '' ) unless ( $req->param('step') // '' ) eq 'finish';
    my ( $wrong, @codes ) = Ringfence::Gate::enrol( $token, $req->address,
        map { _typed( $req->param($_) ) } qw(password again code) );
    return $self->_form( $link, $wrong ) if $wrong;
    my $list = join '', map { "<li><code>$_</code></li>" } @codes;
    return _page( 'You are set up',
            '<p>These are your recovery codes. Each works once in place of a code, for the day on which'
          . ' the telephone is not at hand. They are not shown again: keep them away from it.</p>'
          . "<ul id=\"recovery\">$list</ul><p>From now on sign in with your password and the app.</p>" );
}

sub _link {
    my ( $self, $req ) = @_;
    my $token = $req->param('link') // '';
    my $link = Ringfence::Gate::link_of( $token, $req->address );
    Ringfence::Gate::refused( 'link', undef, $req->address ) unless $link;
    return ( $token, $link );
}

sub _ended {
    return _page( 'This link does not work',
        '<p>It has been used, has ended, or may not be opened from where you are. Ask for another.</p>',
        404 );
}

sub _form {
    my ( $self, $link, $wrong ) = @_;
    my $uri   = Ringfence::Gate::uri($link);
    my $key   = join ' ', $link->{secret} =~ /(.{1,4})/g;
    my $said  = $wrong ? "<p class=\"bad\" role=\"alert\">$wrong</p>" : '';
    my $field = sub {
        my ( $name, $label, $more ) = @_;
        return "<label for=\"$name\">$label</label><input id=\"$name\" name=\"$name\" required $more>";
    };
    return _page( 'Set up your sign-in',
            $said
          . '<p>Scan this with the app.</p>' . _drawn($uri)
          . "<p>Or type this key: <code id=\"key\">$key</code></p>"
          . '<form method="post" autocomplete="off"><input type="hidden" name="step" value="finish">'
          . "<p>Account: <strong>$link->{user}</strong></p>"
          . $field->( 'password', 'A new password, at least 12 characters', 'type="password" autocomplete="new-password"' )
          . $field->( 'again', 'The password again', 'type="password" autocomplete="new-password"' )
          . $field->( 'code', 'The code that the app shows now', 'inputmode="numeric" autocomplete="one-time-code"' )
          . '<button>Finish</button></form>' );
}

# The secret goes through a pipe: a list of processes shows no more than the program's name.
sub _drawn {
    my ($uri) = @_;
    my $drawn = eval {
        my $pid = open2( my $out, my $in, qw(qrencode --type=SVG --inline --level=M --output=-) );
        print {$in} $uri;
        close $in;
        local $/ = undef;
        my $said = <$out>;
        waitpid $pid, 0;
        die "qrencode failed\n" if $?;
        $said;
    };
    return '' unless $drawn;
    $drawn =~ s/\A.*?(?=<svg)//s;
    return $drawn;
}

sub _typed {
    my ($text) = @_;
    return '' unless defined $text;
    return is_utf8($text) ? $text : decode_utf8($text);
}

sub _page {
    my ( $title, $body, $status ) = @_;
    my $html = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>$title</title>"
      . '<meta name="viewport" content="width=device-width,initial-scale=1"><style>'
      . "$STYLE</style></head><body><main><h1>$title</h1>$body</main></body></html>";
    return [
        $status || 200,
        [
            'Content-Type'            => 'text/html; charset=utf-8',
            'Cache-Control'           => 'no-store',
            'Referrer-Policy'         => 'no-referrer',
            'X-Content-Type-Options'  => 'nosniff',
            'X-Robots-Tag'            => 'noindex',
            'Content-Security-Policy' =>
"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ],
        [ encode_utf8($html) ]
    ];
}

1;
