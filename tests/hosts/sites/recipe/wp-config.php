<?php
// SPDX-License-Identifier: GPL-3.0-or-later
define('DB_NAME', '@SITE@');
define('DB_USER', 'site_@SITE@');
define('DB_PASSWORD', 'test-only-@SITE@');
define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $kind) {
    define($kind . '_KEY', hash('sha256', "@SITE@ $kind key"));
    define($kind . '_SALT', hash('sha256', "@SITE@ $kind salt"));
}
// Nothing happens by itself: two looks at the same page see the same page.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
