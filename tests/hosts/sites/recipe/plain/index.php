<?php
// SPDX-License-Identifier: GPL-3.0-or-later
session_start();
$_SESSION['seen'] = ($_SESSION['seen'] ?? 0) + 1;
$name = htmlspecialchars((string) ($_GET['name'] ?? 'world'));
?>
<!doctype html>
<title>Plain</title>
<p>Hello, <?= $name ?>.</p>
<ul>
  <li><a href="/about.html">About</a></li>
  <li><a href="/whoami.php">Who serves this</a></li>
  <li><a href="/?name=Ada">Ada</a></li>
</ul>
