<?php
// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Plugin Name: Two-Factor
 * Description: Stands in for the plugin of this name where that cannot be had. It is written from
 *   nothing, and keeps the same names, user meta, filters and session mark; it asks for codes by
 *   e-mail and from an app, once, as far as the tests need it.
 * Version: 0.9.1
 */

class Two_Factor_Core
{
    const ENABLED = '_two_factor_enabled_providers';
    const KNOWN = ['Two_Factor_Email', 'Two_Factor_Totp'];

    public static function add_hooks(): void
    {
        add_action('wp_login', [self::class, 'wp_login'], 10, 2);
        add_action('login_form_validate_2fa', [self::class, 'validate']);
        add_filter('attach_session_information', fn($session) =>
            self::$passed ? $session + ['two-factor-login' => time()] : $session);
    }

    private static bool $passed = false;

    public static function get_available_providers_for_user($user): array
    {
        $id = $user instanceof WP_User ? $user->ID : (int) $user;
        $enabled = get_user_meta($id, self::ENABLED, true) ?: [];
        $enabled = apply_filters('two_factor_enabled_providers_for_user', $enabled, $id);
        return array_intersect(self::KNOWN, (array) $enabled);
    }

    public static function is_user_using_two_factor($user = null): bool
    {
        return (bool) self::get_available_providers_for_user($user);
    }

    // The password was right. That alone opens nothing.
    public static function wp_login($login, $user): void
    {
        if (!self::is_user_using_two_factor($user)) {
            return;
        }
        WP_Session_Tokens::get_instance($user->ID)->destroy_all();
        wp_clear_auth_cookie();
        $nonce = wp_generate_password(32, false);
        $code = sprintf('%08d', random_int(0, 99999999));
        update_user_meta($user->ID, '_two_factor_nonce', ['key' => wp_hash($nonce), 'until' => time() + 600]);
        if (!in_array('Two_Factor_Totp', self::get_available_providers_for_user($user), true)) {
            update_user_meta($user->ID, '_two_factor_email_token', wp_hash($code));
            wp_mail($user->user_email, 'Your sign-in code', $code);
        }
        self::form($user, $nonce, '');
    }

    private static function form(WP_User $user, string $nonce, string $error): void
    {
        login_header('', '', $error ? new WP_Error('code', $error) : null);
        printf('<form method="post" action="%s"><input type="hidden" name="wp-auth-id" value="%d">'
            . '<input type="hidden" name="wp-auth-nonce" value="%s"><p><label for="authcode">Authentication Code:'
            . '</label><input id="authcode" name="authcode" class="input" autocomplete="one-time-code"></p>'
            . '<p class="submit"><input type="submit" class="button button-primary" value="Authenticate"></p></form>',
            esc_url(site_url('wp-login.php?action=validate_2fa', 'login_post')), $user->ID, esc_attr($nonce));
        login_footer();
        exit;
    }

    public static function validate(): void
    {
        $user = get_userdata((int) ($_POST['wp-auth-id'] ?? 0));
        $nonce = (string) ($_POST['wp-auth-nonce'] ?? '');
        $kept = $user ? get_user_meta($user->ID, '_two_factor_nonce', true) : null;
        if (!$kept || $kept['until'] < time() || !hash_equals($kept['key'], wp_hash($nonce))) {
            wp_safe_redirect(wp_login_url());
            exit;
        }
        $code = preg_replace('/\D/', '', (string) ($_POST['authcode'] ?? ''));
        if (!self::is_right($user, $code)) {
            self::form($user, $nonce, 'ERROR: Invalid verification code.');
        }
        delete_user_meta($user->ID, '_two_factor_nonce');
        self::$passed = true;
        wp_set_auth_cookie($user->ID, false);
        wp_safe_redirect(admin_url());
        exit;
    }

    private static function is_right(WP_User $user, string $code): bool
    {
        if (!in_array('Two_Factor_Totp', self::get_available_providers_for_user($user), true)) {
            $token = get_user_meta($user->ID, '_two_factor_email_token', true);
            delete_user_meta($user->ID, '_two_factor_email_token');
            return $token && hash_equals($token, wp_hash($code));
        }
        $now = intdiv(time(), 30);
        $last = (int) get_user_meta($user->ID, '_two_factor_totp_last_successful_login', true);
        foreach ([$now, $now - 1, $now + 1] as $step) {
            if ($step > $last && hash_equals(self::code(get_user_meta($user->ID, '_two_factor_totp_key', true), $step), $code)) {
                update_user_meta($user->ID, '_two_factor_totp_last_successful_login', $step);
                return true;
            }
        }
        return false;
    }

    private static function code(string $secret, int $step): string
    {
        $bits = '';
        foreach (str_split($secret) as $letter) {
            $bits .= sprintf('%05b', strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', $letter));
        }
        $key = implode('', array_map(fn($byte) => chr(bindec($byte)), array_filter(str_split($bits, 8), fn($b) => strlen($b) === 8)));
        $digest = hash_hmac('sha1', pack('J', $step), $key, true);
        $offset = ord($digest[19]) & 15;
        return sprintf('%06d', (unpack('N', substr($digest, $offset, 4))[1] & 0x7fffffff) % 1000000);
    }
}

Two_Factor_Core::add_hooks();
