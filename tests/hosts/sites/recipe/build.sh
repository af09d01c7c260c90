#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root inside a new image, in the folder of this file: packages, sites, their data.
# The image is only committed: services start when a host boots from it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# A theme is only recommended, and without one every page is empty.
theme=$(apt-cache depends wordpress | sed -n 's/^ *Recommends: \(wordpress-theme-.*\)/\1/p' | tail -1)
packages="$(sed 's/#.*//' packages.txt) $theme"
# shellcheck disable=SC2086
apt-get -qq -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends $packages > /dev/null
php=$(php -r 'echo PHP_MAJOR_VERSION . "." . PHP_MINOR_VERSION;')

# One of them is switched on when the host is up.
for unit in nginx apache2; do systemctl disable --quiet "$unit.service"; done
rm -f /etc/nginx/sites-enabled/default /etc/apache2/sites-enabled/000-default.conf
# Nobody uses Debian's own pool.
rm -f "/etc/php/$php/fpm/pool.d/www.conf"
a2enmod -q proxy_fcgi rewrite ssl > /dev/null

# A certificate authority of the host's own; a client gets it as ca.pem.
openssl req -quiet -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=Sites test authority' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout /etc/ssl/private/sites-ca.key -out /etc/ssl/certs/sites-ca.pem 2> /dev/null \
|| openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=Sites test authority' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout /etc/ssl/private/sites-ca.key -out /etc/ssl/certs/sites-ca.pem 2> /dev/null
chmod 0600 /etc/ssl/private/sites-ca.key

certificate() {
    printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' "$1" \
        > /root/extensions
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "/etc/ssl/private/$1.key" \
        -out /root/request.pem 2> /dev/null
    openssl x509 -req -days 3650 -in /root/request.pem -CA /etc/ssl/certs/sites-ca.pem \
        -CAkey /etc/ssl/private/sites-ca.key -extfile /root/extensions \
        -out "/etc/ssl/certs/$1.pem" 2> /dev/null
    cat /etc/ssl/certs/sites-ca.pem >> "/etc/ssl/certs/$1.pem"
    chmod 0600 "/etc/ssl/private/$1.key"
    rm -f /root/request.pem /root/extensions
}

fill() {
    sed -e "s/@SITE@/$1/g" -e "s/@DOMAIN@/$2/g" -e "s/@PHP@/$php/g" "$3"
}

site() {
    home=/var/www/$1
    useradd --system --user-group --home-dir "$home" --shell /usr/sbin/nologin "site_$1"
    mkdir -p "$home/public" "$home/tmp" "$home/sessions"
    certificate "$2"
    fill "$1" "$2" nginx.conf > "/etc/nginx/sites-available/$1.conf"
    ln -s "../sites-available/$1.conf" "/etc/nginx/sites-enabled/$1.conf"
    fill "$1" "$2" apache.conf > "/etc/apache2/sites-available/$1.conf"
    a2ensite -q "$1.conf" > /dev/null
    fill "$1" "$2" pool.conf > "/etc/php/$php/fpm/pool.d/$1.conf"
}

own() {
    chown -R "site_$1:site_$1" "/var/www/$1"
    chmod 0750 "/var/www/$1" "/var/www/$1/tmp" "/var/www/$1/sessions"
    # The web server reads pictures and style sheets itself.
    usermod --append --groups "site_$1" www-data
}

wordpress() {
    site "$1" "$2"
    # The package links scripts of other packages: a site has files of its own.
    cp -rL /usr/share/wordpress/. "/var/www/$1/public/"
    fill "$1" "$2" wp-config.php > "/var/www/$1/public/wp-config.php"
    cp htaccess "/var/www/$1/public/.htaccess"
    mkdir -p "/var/www/$1/public/wp-content/uploads"
    own "$1"
    mariadb -e "CREATE DATABASE $1; CREATE USER site_$1@localhost IDENTIFIED BY 'test-only-$1';
        GRANT ALL PRIVILEGES ON $1.* TO site_$1@localhost;"
    runuser -u "site_$1" -- php install.php "/var/www/$1/public" "$2" "$1"
}

mkdir -p /run/mysqld && chown mysql:mysql /run/mysqld
mariadbd --user=mysql --skip-networking > /root/mariadbd.log 2>&1 &
for _try in $(seq 120); do
    mariadb-admin --silent ping 2> /dev/null && break
    sleep 0.5
done
chmod a+rx . && chmod a+r ./*
wordpress shop shop.example
wordpress blog blog.example
site plain plain.example
cp plain/* /var/www/plain/public/
own plain
mariadb-admin shutdown
wait

"php-fpm$php" -t 2> /dev/null
nginx -t -q
apache2ctl -t 2> /dev/null
apt-get clean
rm -f /root/mariadbd.log
