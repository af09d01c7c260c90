# SPDX-License-Identifier: GPL-3.0-or-later
# Who may pass the gate, and with what: the accounts of people, their codes, their one-time links.
#
# An account is one JSON file that only the gate's own user reads. Every judgement is made under one
# lock, and what it uses up (a code, a recovery code, a link) is on disk before it counts.
package Ringfence::Gate;

use strict;
use warnings;

# Loaded by its path as well, for the rules of sites: once is enough.
$INC{'Ringfence/Gate.pm'} = __FILE__;

use Crypt::URandom ();
use Digest::SHA qw(hmac_sha1 sha256_hex);
use Encode qw(encode_utf8);
use Fcntl qw(:flock);
use IO::Handle ();
use IO::Socket::UNIX ();
use JSON ();
use POSIX qw(strftime);
use Socket qw(AF_INET AF_INET6 SOCK_DGRAM inet_pton);

use constant {
    STEP_SECONDS       => 30,
    WINDOW_STEPS       => 1,     # the code before and the one after: clocks differ
    RECOVERY_CODES     => 8,
    PASSWORD_MINIMUM   => 12,
    PASSWORD_MAXIMUM   => 200,
};

our $SETTINGS = $ENV{RINGFENCE_GATE_SETTINGS} || '/etc/ringfence-gate/gate.json';
our $STATE    = $ENV{RINGFENCE_GATE_STATE}    || '/var/lib/ringfence-gate';

# Letters and digits that nobody mistakes for another.
my @LETTERS = split //, 'abcdefghjkmnpqrstuvwxyz23456789';
my $JSON    = JSON->new->utf8->canonical;
my ( $known, $known_as ) = ( undef, '' );

# What the operator settled: portal, session, lockout, sites. Read again when the file is another.
sub settings {
    my @seen = stat $SETTINGS or die "$SETTINGS: $!\n";
    my $as = "$seen[1] $seen[9] $seen[7]";
    if ( $as ne $known_as ) {
        $known    = $JSON->decode( _read($SETTINGS) );
        $known_as = $as;
    }
    return $known;
}

# The rule of every site: the one question that opens it. A session that has passed no second
# factor, one from before the account was made anew, or another site's user, gets a no.
sub may {
    my ( $site, $name, $factor, $since ) = @_;
    my $allowed = eval {
        my $account = account($name);
        my $users   = settings()->{sites}{ $site // '' }{users} || [];
             $account
          && ( $factor // '' ) eq 'totp'
          && ( $since // 0 ) >= $account->{enrolled_at}
          && grep { $_ eq $name } @$users;
    };
    return $allowed ? 1 : 0;
}

# The account of a person; undef where there is none.
sub account {
    my ($name) = @_;
    return undef unless defined $name and $name =~ /\A[a-z][a-z0-9_]{0,63}\z/;
    my $path = "$STATE/users/$name.json";
    return undef unless -e $path;
    return $JSON->decode( _read($path) );
}

# ok, wrong or locked, with the seconds until the lock ends.
sub check_password {
    my ( $name, $password, $address ) = @_;
    return _judged(
        $name, $address,
        'password',
        sub {
            my ($account) = @_;
            return _same( crypt( encode_utf8($password), $account->{password} ) // '', $account->{password} )
              ? 'ok'
              : 'wrong';
        }
    );
}

# ok, wrong, used or locked. A code that is taken is used up: it, and every older one.
sub check_code {
    my ( $name, $typed, $address ) = @_;
    return _judged(
        $name, $address, 'code',
        sub {
            my ($account) = @_;
            ( my $code = lc $typed ) =~ s/[\s-]//g;
            my $step = _step_of( $account->{secret}, $code );
            if ( defined $step ) {
                return 'used' if $step <= $account->{last_step};
                $account->{last_step} = $step;
                $account->{failures}  = [];
                return 'ok';
            }
            my $hash = sha256_hex( $account->{salt} . $code );
            my @left = grep { !_same( $_, $hash ) } @{ $account->{recovery} };
            return 'wrong' if @left == @{ $account->{recovery} };
            $account->{recovery} = \@left;
            $account->{failures} = [];
            note( 'recovery_code_used', $name, scalar(@left) . ' left' );
            return 'ok';
        }
    );
}

# The pending enrolment that a link stands for; undef where it is none, ended, or from elsewhere.
sub link_of {
    my ( $token, $address ) = @_;
    return undef unless ( $token // '' ) =~ /\A[A-Za-z0-9_-]{43}\z/;
    my $path = "$STATE/links/" . sha256_hex($token) . '.json';
    return undef unless -e $path;
    my $link = $JSON->decode( _read($path) );
    return undef if $link->{expires} <= time;
    foreach my $networks ( @{ $link->{networks} } ) {
        return undef unless grep { _lies_in( $address, $_ ) } @$networks;
    }
    $link->{path} = $path;
    return $link;
}

# Enrols: ('', @recovery_codes), or what is wrong in words for the person.
sub enrol {
    my ( $token, $address, $password, $again, $typed ) = @_;
    my $lock = _locked();
    my $link = link_of( $token, $address ) or return 'This link has been used or has ended.';
    my $name = $link->{user};
    my $wrong = _password_problem( $name, $password, $again );
    return $wrong if $wrong;
    ( my $code = $typed // '' ) =~ s/[\s-]//g;
    my $step = _step_of( $link->{secret}, $code );
    return 'That is not the code that the app shows now.' unless defined $step;
    my @codes = map { _letters(5) . '-' . _letters(5) } 1 .. RECOVERY_CODES;
    my $salt  = _letters(20);
    _write(
        "$STATE/users/$name.json",
        {
            password    => crypt( encode_utf8($password), _crypt_setting() ),
            secret      => $link->{secret},
            last_step   => $step,
            salt        => $salt,
            recovery    => [ map { my $c = $_; $c =~ s/-//; sha256_hex( $salt . $c ) } @codes ],
            failures    => [],
            locked_until => 0,
            enrolled_at => time,
        }
    );
    unlink $link->{path} or die "a link cannot be used up: $!\n";
    note( 'enrolled', $name, "from $address" );
    return ( '', @codes );
}

# What an authenticator app scans.
sub uri {
    my ($link) = @_;
    my $issuer = settings()->{issuer};
    $issuer =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return "otpauth://totp/$issuer:$link->{user}?secret=$link->{secret}&issuer=$issuer";
}

# One line of the history, and of the system's log.
sub note {
    my ( $event, $name, $about ) = @_;
    my $entry = { at => strftime( '%Y-%m-%dT%H:%M:%SZ', gmtime ), event => $event, user => $name };
    $entry->{about} = $about if defined $about;
    open my $file, '>>', "$STATE/history.jsonl" or die "history.jsonl: $!\n";
    print {$file} $JSON->encode($entry), "\n";
    close $file or die "history.jsonl: $!\n";
    _log( 'notice', "$event user=$name" . ( defined $about ? " $about" : '' ) );
    return;
}

# One line a refusal: what a ban looks for.
sub refused {
    my ( $what, $name, $address ) = @_;
    $name = 'unknown' unless ( $name // '' ) =~ /\A[a-z][a-z0-9_]{0,63}\z/;
    _log( 'warning', "refused reason=$what user=$name address=$address" );
    return;
}

# By hand, for the portal has the system's log open under its own name. A log that is not there
# stops nobody.
sub _log {
    my ( $level, $text ) = @_;
    my $priority = 4 * 8 + ( $level eq 'warning' ? 4 : 5 );    # facility auth
    my $log = IO::Socket::UNIX->new( Type => SOCK_DGRAM, Peer => '/dev/log' ) or return;
    send $log, "<$priority>ringfence-gate[$$]: $text", 0;
    close $log;
    return;
}

# The judgement of `$judge` on an account that is not locked; what it changes is written at once.
sub _judged {
    my ( $name, $address, $what, $judge ) = @_;
    my $lock    = _locked();
    my $account = account($name);
    if ( !$account ) {

        # As long as for somebody who is there: the time tells nothing.
        my $spent = crypt( 'nobody', _crypt_setting() );
        refused( $what, $name, $address );
        return ('wrong');
    }
    my $now = time;
    if ( $account->{locked_until} > $now ) {
        refused( 'locked', $name, $address );
        return ( 'locked', $account->{locked_until} - $now );
    }
    my $verdict = $judge->($account);
    if ( $verdict ne 'ok' ) {
        my $limit    = settings()->{lockout};
        my @failures = grep { $_ > $now - $limit->{within} } @{ $account->{failures} };
        push @failures, $now;
        $account->{failures} = \@failures;
        refused( $verdict eq 'used' ? 'used_code' : $what, $name, $address );
        if ( @failures >= $limit->{attempts} ) {
            $account->{locked_until} = $now + $limit->{ban};
            $account->{failures}     = [];
            note( 'locked', $name, "for $limit->{ban} s, last from $address" );
        }
    }
    _write( "$STATE/users/$name.json", $account );
    return ($verdict);
}

# The step, no further than one from now, whose code this is; undef for none.
sub _step_of {
    my ( $secret, $code ) = @_;
    return undef unless $code =~ /\A[0-9]{6}\z/;
    my $now = int( time / STEP_SECONDS );
    foreach my $step ( map { $now + $_ } -(WINDOW_STEPS) .. WINDOW_STEPS ) {
        return $step if _same( _code( $secret, $step ), $code );
    }
    return undef;
}

# RFC 6238, six digits of HMAC-SHA-1.
sub _code {
    my ( $secret, $step ) = @_;
    my $digest = hmac_sha1( pack( 'Q>', $step ), _from_base32($secret) );
    my $offset = ord( substr $digest, -1 ) & 15;
    my $number = unpack( 'N', substr $digest, $offset, 4 ) & 0x7fffffff;
    return sprintf '%06d', $number % 1_000_000;
}

sub _from_base32 {
    my ($text) = @_;
    $text =~ tr/A-Z2-7//cd;
    $text =~ tr/A-Z2-7/\x00-\x1f/;
    my $bits = join '', map { substr unpack( 'B8', $_ ), 3 } split //, $text;
    return pack 'B*', substr $bits, 0, 8 * int( length($bits) / 8 );
}

sub _password_problem {
    my ( $name, $password, $again ) = @_;
    $password //= '';
    return 'The two passwords differ.' if $password ne ( $again // '' );
    return 'The password needs at least ' . PASSWORD_MINIMUM . ' characters.'
      if length $password < PASSWORD_MINIMUM;
    return 'The password is too long.' if length $password > PASSWORD_MAXIMUM;
    my %different = map { $_ => 1 } split //, $password;
    return 'The password must not hold your name, nor be made of a few characters only.'
      if index( lc $password, $name ) >= 0 or keys %different < 6;
    return '';
}

sub _crypt_setting {
    return '$y$j9T$' . join '', map { $LETTERS[ _random( scalar @LETTERS ) ] } 1 .. 20;
}

sub _letters {
    my ($count) = @_;
    return join '', map { $LETTERS[ _random( scalar @LETTERS ) ] } 1 .. $count;
}

# An even choice below `$below` (at most 256), by throwing away what would make it uneven.
sub _random {
    my ($below) = @_;
    my $top = 256 - 256 % $below;
    while (1) {
        my $byte = ord Crypt::URandom::urandom(1);
        return $byte % $below if $byte < $top;
    }
}

sub _same {
    my ( $one, $other ) = @_;
    return 0 if length $one != length $other;
    my $difference = 0;
    $difference |= ord( substr $one, $_, 1 ) ^ ord( substr $other, $_, 1 ) for 0 .. length($one) - 1;
    return $difference == 0;
}

sub _lies_in {
    my ( $address, $network ) = @_;
    $address =~ s/\A::ffff:(?=[0-9.]+\z)//i;
    my ( $base, $bits ) = split m{/}, $network;
    my $family = $base =~ /:/ ? AF_INET6 : AF_INET;
    my ( $one, $other ) = map { inet_pton( $family, $_ ) } $address, $base;
    return 0 unless defined $one and defined $other;
    $bits = 8 * length $other unless defined $bits;
    return substr( unpack( 'B*', $one ), 0, $bits ) eq substr( unpack( 'B*', $other ), 0, $bits );
}

# Held until what is returned is gone.
sub _locked {
    open my $lock, '>>', "$STATE/lock" or die "$STATE/lock: $!\n";
    flock $lock, LOCK_EX or die "$STATE/lock: $!\n";
    return $lock;
}

sub _read {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/ = undef;
    return scalar <$file>;
}

sub _write {
    my ( $path, $content ) = @_;
    my $mask = umask 0077;
    open my $file, '>', "$path.new" or die "$path: $!\n";
    umask $mask;
    print {$file} $JSON->encode($content) or die "$path: $!\n";
    $file->flush;
    $file->sync;
    close $file or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

1;
