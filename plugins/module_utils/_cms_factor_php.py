# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The PHP that forces a second factor in WordPress, and that which asks WordPress about it."""

from __future__ import annotations

# A must-use plugin: WordPress loads it before all others, and nobody can switch it off from inside.
FORCE = r"""<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// Written by Ringfence: who has one of these roles comes nowhere without a second factor.
// The factor itself is the plugin two-factor's. Without it, these roles cannot sign in at all.

const RINGFENCE_SECOND_FACTOR_ROLES = @ROLES@;

function ringfence_second_factor_is_forced($user): bool {
    return $user instanceof WP_User
        && (array_intersect(RINGFENCE_SECOND_FACTOR_ROLES, (array) $user->roles)
            || (is_multisite() && is_super_admin($user->ID)));
}

// Somebody without a factor of their own gets a code by e-mail, so that no password is enough.
add_filter('two_factor_enabled_providers_for_user', function ($providers, $user_id) {
    $providers = (array) $providers;
    return !$providers && ringfence_second_factor_is_forced(get_userdata($user_id))
        ? ['Two_Factor_Email'] : $providers;
}, 99, 2);

// A session that no factor has opened is none: from before, from another plugin, or forged.
function ringfence_second_factor_refuses(): bool {
    $user = wp_get_current_user();
    if (!$user->exists() || !ringfence_second_factor_is_forced($user)) {
        return false;
    }
    $session = WP_Session_Tokens::get_instance($user->ID)->get(wp_get_session_token());
    return empty($session['two-factor-login']);
}

// As early as WordPress knows who it is: the admin area, REST, everything.
add_action('init', function () {
    if (!ringfence_second_factor_refuses()) {
        return;
    }
    wp_destroy_current_session();
    wp_clear_auth_cookie();
    wp_set_current_user(0);
    if (is_admin() && !wp_doing_ajax()) {
        wp_safe_redirect(wp_login_url());
        exit;
    }
}, 0);

// An application password is a password without a factor.
add_filter('wp_is_application_passwords_available_for_user', function ($available, $user) {
    return $available && !ringfence_second_factor_is_forced($user);
}, 99, 2);
"""

# Read by PHP from its standard input, as the site's own user. What it finds it prints as one line
# of JSON behind a mark, for plugins print what they like.
ASK = r"""<?php
$ringfence_root = getenv('RINGFENCE_ROOT');
$ringfence_action = getenv('RINGFENCE_ACTION');
$ringfence_mark = getenv('RINGFENCE_MARK');
$ringfence_wanted = json_decode(getenv('RINGFENCE_ROLES'), true);
$ringfence_domain = getenv('RINGFENCE_DOMAIN');
$_SERVER += ['HTTP_HOST' => $ringfence_domain, 'SERVER_NAME' => $ringfence_domain,
    'REQUEST_URI' => '/wp-admin/index.php', 'REQUEST_METHOD' => 'GET', 'HTTPS' => 'on',
    'SERVER_PROTOCOL' => 'HTTP/1.1', 'REMOTE_ADDR' => '127.0.0.1', 'SERVER_PORT' => '443'];
$ringfence_found = [];
register_shutdown_function(function () use (&$ringfence_found, $ringfence_mark) {
    echo "\n$ringfence_mark" . json_encode($ringfence_found) . "\n";
});

if ($ringfence_action === 'try') {
    // In the name of a user, with a session that has passed no factor: what an attacker with the
    // password alone would have. It is kept in memory; nothing is written to the site.
    define('WP_ADMIN', true);
    $ringfence_found = ['refused' => false, 'loaded' => false];
    $ringfence_user_id = (int) getenv('RINGFENCE_USER');
    $GLOBALS['wp_filter'] = [
        'determine_current_user' => [PHP_INT_MAX => [
            ['function' => fn() => $ringfence_user_id, 'accepted_args' => 1]]],
        'session_token_manager' => [PHP_INT_MAX => [
            ['function' => fn() => 'Ringfence_Memory_Sessions', 'accepted_args' => 1]]],
        'plugins_loaded' => [PHP_INT_MIN => [['accepted_args' => 1, 'function' => function () {
            class Ringfence_Memory_Sessions extends WP_Session_Tokens {
                private static $kept = ['expiration' => PHP_INT_MAX, 'login' => 1];
                protected function get_sessions() { return array_filter([self::$kept]); }
                protected function get_session($verifier) { return self::$kept ?: null; }
                protected function update_session($verifier, $session = null)
                {
                    self::$kept = $session;
                }
                protected function destroy_other_sessions($verifier) {}
                protected function destroy_all_sessions() { self::$kept = null; }
                public static function drop_sessions() { self::$kept = null; }
            }
        }]]],
        'wp_redirect' => [PHP_INT_MIN => [['accepted_args' => 1, 'function' =>
            function ($where) use (&$ringfence_found) {
                $refused = str_contains($where, 'wp-login.php');
                $ringfence_found = ['refused' => $refused, 'loaded' => true];
                return $where;
            }]]],
    ];
    require "$ringfence_root/wp-load.php";
    $ringfence_found = ['refused' => get_current_user_id() === 0, 'loaded' => true];
    exit;
}

if ($ringfence_action === 'activate') {
    define('WP_ADMIN', true);
}
require "$ringfence_root/wp-load.php";
require_once ABSPATH . 'wp-admin/includes/plugin.php';
if ($ringfence_action === 'activate') {
    $ringfence_done = activate_plugin('two-factor/two-factor.php');
    $ringfence_found = ['active' => !is_wp_error($ringfence_done),
        'why' => is_wp_error($ringfence_done) ? $ringfence_done->get_error_message() : ''];
    exit;
}
if ($ringfence_action === 'deactivate') {
    deactivate_plugins('two-factor/two-factor.php');
    $ringfence_found = ['active' => false];
    exit;
}

// In a function, for WordPress keeps names such as $user for itself.
function ringfence_state(array $wanted): array
{
    $active = is_plugin_active('two-factor/two-factor.php') && class_exists('Two_Factor_Core');
    $forced = defined('RINGFENCE_SECOND_FACTOR_ROLES') ? RINGFENCE_SECOND_FACTOR_ROLES : [];
    $users = [];
    foreach ($wanted ? get_users(['role__in' => $wanted, 'number' => 1000]) : [] as $user) {
        $own = (array) get_user_meta($user->ID, '_two_factor_enabled_providers', true);
        $users[] = ['id' => $user->ID, 'login' => $user->user_login,
            'own' => array_values(array_filter($own)),
            'asked' => $active && Two_Factor_Core::is_user_using_two_factor($user->ID)];
    }
    return ['wordpress' => $GLOBALS['wp_version'], 'active' => $active, 'forced' => $forced,
        'plugin' => get_plugins()['two-factor/two-factor.php']['Version'] ?? '',
        'roles' => array_keys(wp_roles()->roles), 'users' => $users];
}
$ringfence_found = ringfence_state($ringfence_wanted);
"""
