-- SPDX-License-Identifier: GPL-3.0-or-later
-- The tables of a Joomla 5 that tell of its multi-factor authentication, with its own names of
-- columns and its own ids of groups. Joomla's code is not to be had here; this is its shape only.
CREATE DATABASE IF NOT EXISTS joomla CHARACTER SET utf8mb4;
USE joomla;
CREATE TABLE j_usergroups (id int unsigned PRIMARY KEY AUTO_INCREMENT, parent_id int unsigned NOT NULL DEFAULT 0, lft int NOT NULL DEFAULT 0, rgt int NOT NULL DEFAULT 0, title varchar(100) NOT NULL);
INSERT INTO j_usergroups (id, parent_id, title) VALUES (1,0,'Public'),(2,1,'Registered'),(6,1,'Manager'),(7,6,'Administrator'),(8,1,'Super Users');
CREATE TABLE j_users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(400) NOT NULL, username varchar(150) NOT NULL, email varchar(100) NOT NULL, password varchar(100) NOT NULL DEFAULT '', block tinyint NOT NULL DEFAULT 0);
INSERT INTO j_users (id, name, username, email, block) VALUES (42,'Olive Penn','olive','olive@choir.example',0),(43,'Tom Reed','tom','tom@choir.example',0),(44,'Left Long','left','left@choir.example',1),(45,'A Member','member','member@choir.example',0);
CREATE TABLE j_user_usergroup_map (user_id int unsigned NOT NULL, group_id int unsigned NOT NULL, PRIMARY KEY (user_id, group_id));
INSERT INTO j_user_usergroup_map VALUES (42,8),(43,7),(44,8),(45,2);
CREATE TABLE j_user_mfa (id int PRIMARY KEY AUTO_INCREMENT, user_id int unsigned NOT NULL, title varchar(255) NOT NULL, method varchar(100) NOT NULL, `default` tinyint NOT NULL DEFAULT 0, options mediumtext NOT NULL, created_on datetime, last_used datetime, tries int NOT NULL DEFAULT 0, last_try datetime);
INSERT INTO j_user_mfa (user_id, title, method, `default`, options) VALUES (42,'App','totp',1,'###AES128###x'),(42,'Backup','backupcodes',0,'###AES128###x'),(43,'Backup','backupcodes',0,'###AES128###x');
CREATE TABLE j_extensions (extension_id int PRIMARY KEY AUTO_INCREMENT, name varchar(100) NOT NULL, type varchar(20) NOT NULL, element varchar(100) NOT NULL, folder varchar(100) NOT NULL, enabled tinyint NOT NULL DEFAULT 0, params text NOT NULL);
INSERT INTO j_extensions (name, type, element, folder, enabled, params) VALUES
 ('com_users','component','com_users','',1,'{"allowUserRegistration":"0","neverMFAUserGroups":["2"],"forceMFAUserGroups":["6"]}'),
 ('plg_multifactorauth_totp','plugin','totp','multifactorauth',1,''),
 ('plg_multifactorauth_email','plugin','email','multifactorauth',0,''),
 ('plg_multifactorauth_fixed','plugin','fixed','multifactorauth',0,'');
