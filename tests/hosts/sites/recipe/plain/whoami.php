<?php
// SPDX-License-Identifier: GPL-3.0-or-later
header('Content-Type: text/plain');
echo posix_getpwuid(posix_geteuid())['name'], "\n";
