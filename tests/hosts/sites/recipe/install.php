<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// php install.php ROOT DOMAIN NAME: WordPress' own installation, then what a small site has.
[, $root, $domain, $name] = $argv;
define('WP_INSTALLING', true);
$_SERVER += ['HTTP_HOST' => $domain, 'SERVER_NAME' => $domain, 'REQUEST_URI' => '/',
    'REQUEST_METHOD' => 'GET', 'HTTPS' => 'on', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
require $root . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/image.php';

function wp_new_blog_notification(...$ignored) {
}

function must($result) {
    if (is_wp_error($result) || !$result) {
        fwrite(STDERR, 'install.php: ' . (is_wp_error($result) ? $result->get_error_message() : 'failed') . "\n");
        exit(1);
    }
    return $result;
}

$site = must(wp_install(ucfirst($name), 'boss', "boss@$domain", true, '', "sign-in-$name"));
$author = $site['user_id'];
update_option('permalink_structure', '/%postname%/');
update_option('comment_moderation', '0');
update_option('comment_previously_approved', '0');
update_option('timezone_string', 'Europe/Berlin');

$picture = imagecreatetruecolor(640, 400);
imagefilledrectangle($picture, 40, 40, 600, 360, imagecolorallocate($picture, 30, 120, 90));
ob_start();
imagepng($picture);
$upload = wp_upload_bits('green.png', null, ob_get_clean(), '2026/01');
$attachment = must(wp_insert_attachment(
    ['post_mime_type' => 'image/png', 'post_title' => 'Green', 'post_status' => 'inherit',
        'post_date' => '2026-01-02 10:00:00'], $upload['file']));
wp_update_attachment_metadata($attachment, wp_generate_attachment_metadata($attachment, $upload['file']));

function write(string $type, string $title, string $text, int $day, int $author): int {
    return must(wp_insert_post(['post_type' => $type, 'post_title' => $title, 'post_content' => $text,
        'post_status' => 'publish', 'post_author' => $author,
        'post_date' => sprintf('2026-01-%02d 09:00:00', $day)], true));
}

$picture_block = '<!-- wp:image {"id":' . $attachment . '} --><figure class="wp-block-image"><img src="'
    . esc_url($upload['url']) . '" alt="Green"/></figure><!-- /wp:image -->';
$first = write('post', 'Opening hours', "<p>Monday to Friday, nine to five.</p>$picture_block", 3, $author);
write('post', 'Grüße aus Köln', '<p>“Umlauts” — and a long dash, ☕.</p>', 4, $author);
write('post', 'Prices of the year', '<!-- wp:table --><figure class="wp-block-table"><table><tbody><tr><td>One</td>'
    . '<td>1.00 €</td></tr></tbody></table></figure><!-- /wp:table -->', 5, $author);
$about = write('page', 'About us', '<p>We are a small firm.</p>', 6, $author);
$contact = write('page', 'Contact', '<p>Write to us.</p>', 7, $author);
write('page', 'Directions', "<p>Behind the church.</p>$picture_block", 8, $author);
must(wp_insert_comment(['comment_post_ID' => $first, 'comment_author' => 'Ada', 'comment_content' => 'Thank you!',
    'comment_author_email' => 'ada@example.org', 'comment_date' => '2026-01-09 12:00:00', 'comment_approved' => 1]));

// A classic menu, and the block that today's themes show.
$menu = must(wp_create_nav_menu('Main'));
foreach ([$about, $contact] as $page) {
    must(wp_update_nav_menu_item($menu, 0, ['menu-item-object' => 'page', 'menu-item-object-id' => $page,
        'menu-item-type' => 'post_type', 'menu-item-status' => 'publish']));
}
write('wp_navigation', 'Navigation', '<!-- wp:page-list /-->', 9, $author);
echo "$domain: WordPress $wp_version\n";
