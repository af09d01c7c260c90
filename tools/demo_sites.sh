#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2016,SC2317  # PHP's variables; and tools/demo.py adds the calls
# Functions that make a host of tests/hosts/sites serve other sites. Runs as root on the host.
set -eu

php=$(php -r 'echo PHP_MAJOR_VERSION . "." . PHP_MINOR_VERSION;')
recipe=/opt/recipe

# The sites that the image has by itself.
clear_host() {
    for _try in $(seq 240); do
        mariadb-admin --silent ping 2> /dev/null && break
        sleep 0.5
    done
    for site in shop blog plain; do
        rm -rf "/var/www/$site" "/etc/php/$php/fpm/pool.d/$site.conf"
        for server in nginx apache2; do
            rm -f "/etc/$server/sites-available/$site.conf" "/etc/$server/sites-enabled/$site.conf"
        done
        rm -f "/etc/ssl/certs/$site.example.pem" "/etc/ssl/private/$site.example.key"
        userdel "site_$site"
    done
    mariadb -e 'DROP DATABASE shop; DROP DATABASE blog;
        DROP USER site_shop@localhost; DROP USER site_blog@localhost;'
}

certificate() { # NAME DOMAIN…
    name=$1
    shift
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$1" \
        -addext "subjectAltName=$(printf 'DNS:%s,' "$@" | sed 's/,$//')" \
        -keyout "/etc/ssl/private/$name.key" -out "/etc/ssl/certs/$name.pem" 2> /dev/null
    chmod 0600 "/etc/ssl/private/$name.key"
}

# The templates of the image are for /var/www/SITE/public.
fill() { # FILE
    sed -e "s|/var/www/@SITE@/public|$root|g" \
        -e "s|open_basedir\] = /var/www/@SITE@|open_basedir] = $root:/var/lib/sites/$site|" \
        -e "s|/var/www/@SITE@|/var/lib/sites/$site|g" \
        -e "s|server_name @DOMAIN@|server_name $domains|" \
        -e "s|ServerName @DOMAIN@|ServerName $1\\n    ServerAlias $domains|" \
        -e "s|/@DOMAIN@\.|/$site.|" -e "s|@DOMAIN@|$1|g" \
        -e "s|site_@SITE@|$user|g" -e "s|@SITE@|$site|g" -e "s|@PHP@|$php|g" "$recipe/$2"
}

# site NAME ROOT USER SERVER PHP DOMAIN…; PHP is yes or no
site() {
    site=$1 root=$2 user=$3 server=$4 with_php=$5
    shift 5
    domains="$*"
    id "$user" > /dev/null 2>&1 \
        || useradd --system --user-group --home-dir "$root" --shell /usr/sbin/nologin "$user"
    usermod --append --groups "$user" www-data
    mkdir -p "$root" "/var/lib/sites/$site/tmp" "/var/lib/sites/$site/sessions"
    chown -R "$user:$user" "/var/lib/sites/$site"
    chmod -R 0750 "/var/lib/sites/$site"
    certificate "$site" "$@"
    case $server in
        nginx)
            fill "$1" nginx.conf > "/etc/nginx/sites-available/$site.conf"
            ln -s "../sites-available/$site.conf" "/etc/nginx/sites-enabled/$site.conf"
            ;;
        apache)
            fill "$1" apache.conf > "/etc/apache2/sites-available/$site.conf"
            a2ensite -q "$site.conf" > /dev/null
            ;;
    esac
    [ "$with_php" = no ] || fill "$1" pool.conf > "/etc/php/$php/fpm/pool.d/$site.conf"
}

own() {
    find "$root" -type d -exec chmod 0750 {} + -o -exec chmod 0640 {} +
    chown -R "$user:$user" "$root"
}

database() { # NAME USER
    mariadb -e "CREATE DATABASE $1; CREATE USER IF NOT EXISTS $2@localhost
        IDENTIFIED BY 'test-only-$1'; GRANT ALL PRIVILEGES ON $1.* TO $2@localhost;"
}

# wordpress DATABASE USER DOMAIN TITLE [NAME ROLE]; after site
wordpress() {
    database "$1" "$2"
    cp -rL /usr/share/wordpress/. "$root/"
    sed -e "s|site_@SITE@|$2|g" -e "s|@SITE@|$1|g" "$recipe/wp-config.php" > "$root/wp-config.php"
    mkdir -p "$root/wp-content/uploads"
    own
    runuser -u "$user" -- php "$recipe/install.php" "$root" "$3" "$4" > /dev/null
    [ $# -eq 4 ] || runuser -u "$user" -- php -r '
        [, $root, $domain, $name, $role] = $argv;
        $_SERVER += ["HTTP_HOST" => $domain, "HTTPS" => "on", "SERVER_PROTOCOL" => "HTTP/1.1"];
        require "$root/wp-load.php";
        $made = wp_insert_user(["user_login" => $name, "user_email" => "$name@$domain",
            "user_pass" => wp_generate_password(), "role" => $role]);
        exit(is_wp_error($made) ? 1 : 0);' "$root" "$3" "$5" "$6"
}

# page TITLE TEXT; after site
page() {
    printf '<!doctype html>\n<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n' "$1" "$1" "$2" \
        > "$root/index.html"
    own
}

# concerts DATABASE USER TITLE; after site
concerts() {
    database "$1" "$2"
    mariadb "$1" -e "CREATE TABLE j_users (id INT PRIMARY KEY, name TEXT, email TEXT);
        INSERT INTO j_users VALUES (1, 'Olive Penn', 'olive@example.org'),
            (2, 'Tom Reed', 'tom@example.org');
        CREATE TABLE j_concerts (held DATE PRIMARY KEY, place TEXT);
        INSERT INTO j_concerts VALUES ('2027-03-20', 'St Mary'), ('2027-06-12', 'Town hall');"
    cat > "$root/index.php" << END
<?php
\$database = new mysqli('localhost', '$2', 'test-only-$1', '$1');
echo '<!doctype html><title>$3</title><h1>$3</h1><ul>';
foreach (\$database->query('SELECT held, place FROM j_concerts ORDER BY held') as \$row) {
    echo '<li>', \$row['held'], ' ', htmlspecialchars(\$row['place']), '</li>';
}
echo '</ul>';
END
    own
}

# serve SERVER…
serve() {
    "php-fpm$php" -t 2> /dev/null
    systemctl restart "php$php-fpm.service"
    for server; do
        [ "$server" = nginx ] && unit=nginx || unit=apache2
        systemctl enable --quiet "$unit.service"
        systemctl restart "$unit.service"
    done
}

# answers DOMAIN: the status of its first page
answers() {
    curl -ks --max-time 30 --resolve "$1:443:127.0.0.1" -o /dev/null \
        -w '%{http_code}\n' "https://$1/"
}
