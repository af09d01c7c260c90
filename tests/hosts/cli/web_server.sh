#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# nginx, Apache, WordPress as Debian has them, and the files of a Joomla that say what it is.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends nginx-light apache2 wordpress php8.2-fpm
useradd --system --create-home --home-dir /srv/shop shop 2>/dev/null || true
mkdir -p /srv/shop/public /srv/club /srv/brochure/www
cp -a /usr/share/wordpress/. /srv/shop/public/ ; rm -f /srv/shop/public/wp-config.php
cat > /srv/shop/wp-config.php <<'P'
<?php
define( 'DB_NAME', 'shop_live' );
define( 'DB_USER', 'shop' );
define( 'DB_PASSWORD', '@SECRET@' );
define( 'DB_HOST', 'localhost' );
$table_prefix = 'sh_';
P
chown -R shop:shop /srv/shop
cat > /etc/php/8.2/fpm/pool.d/shop.conf <<'P'
[shop]
user = shop
group = shop
listen = /run/php/shop.sock
listen.owner = www-data
pm = ondemand
pm.max_children = 2
P
cat > /etc/nginx/sites-available/shop <<'P'
server { listen 80; server_name shop.example www.shop.example; return 301 https://shop.example$request_uri; }
server {
  listen 8443; server_name shop.example;
  root /srv/shop/public; index index.php;
  location ~ \.php$ { include snippets/fastcgi-php.conf; fastcgi_pass unix:/run/php/shop.sock; }
}
server { listen 80; server_name club.example; location / { proxy_pass http://127.0.0.1:8080; } }
server { listen 80; server_name api.example; location / { proxy_pass http://127.0.0.1:9999; } }
P
ln -sf ../sites-available/shop /etc/nginx/sites-enabled/shop
mkdir -p /srv/club/administrator/manifests/files
printf '<?xml version="1.0"?>\n<extension type="file"><name>files_joomla</name><version>5.3.1</version></extension>\n' > /srv/club/administrator/manifests/files/joomla.xml
cat > /srv/club/configuration.php <<'P'
<?php
class JConfig {
	public $dbtype = 'mysqli';
	public $host = 'localhost';
	public $user = 'club';
	public $password = '@SECRET@';
	public $db = 'club';
	public $dbprefix = 'jos_';
	public $secret = '@SECRET@';
}
P
echo '<?php' > /srv/club/index.php; echo hi > /srv/brochure/www/index.html
cat > /etc/apache2/sites-available/club.conf <<'P'
<VirtualHost *:8080>
  ServerName club.example
  ServerAlias www.club.example
  DocumentRoot /srv/club
  <FilesMatch "\.php$">
    SetHandler "proxy:unix:/run/php/php8.2-fpm.sock|fcgi://localhost"
  </FilesMatch>
</VirtualHost>
<VirtualHost *:8080>
  ServerName brochure.example
  DocumentRoot /srv/brochure/www
</VirtualHost>
P
ln -sf ../sites-available/club.conf /etc/apache2/sites-enabled/club.conf
