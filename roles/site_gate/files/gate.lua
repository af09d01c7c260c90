-- SPDX-License-Identifier: GPL-3.0-or-later
-- Asks the gate whether a request to an admin path may pass, as nginx does by auth_request.
-- Whatever goes wrong, the answer is no.
local unix = require "socket.unix"

local SOCKET = "/run/ringfence-gate/gate.sock"
local SECONDS = 10
local BEGIN, PARAMS, STDIN, STDOUT = 1, 4, 5, 6

local function length(number)
    if number < 128 then
        return string.pack("B", number)
    end
    return string.pack(">I4", number | 0x80000000)
end

local function record(kind, content)
    return string.pack(">BBHHBB", 1, kind, 1, #content, 0, 0) .. content
end

local function parameters(values)
    local found = {}
    for name, value in pairs(values) do
        found[#found + 1] = length(#name) .. length(#value) .. name .. value
    end
    return table.concat(found)
end

-- Status and headers (names in small letters) of the gate's answer; nil and why not.
local function asked(values)
    local content = parameters(values)
    if #content > 65535 then
        return nil, "too long a request"
    end
    local connection = unix.stream()
    connection:settimeout(SECONDS)
    local connected, why = connection:connect(SOCKET)
    if not connected then
        connection:close()
        return nil, why
    end
    connection:send(record(BEGIN, string.pack(">HBxxxxx", 1, 0)) .. record(PARAMS, content)
        .. record(PARAMS, "") .. record(STDIN, ""))
    local said = {}
    while true do
        local head, ended = connection:receive(8)
        if not head then
            connection:close()
            return nil, ended
        end
        local _, kind, _, size, padding = string.unpack(">BBHHBB", head)
        local body = size > 0 and connection:receive(size) or ""
        if not body or (padding > 0 and not connection:receive(padding)) then
            connection:close()
            return nil, "an answer that breaks off"
        end
        if kind == STDOUT then
            said[#said + 1] = body
        elseif kind == 3 then
            break
        end
    end
    connection:close()
    local headers = {}
    for line in table.concat(said):gmatch("([^\r\n]+)") do
        local name, value = line:match("^([%w-]+):%s*(.*)$")
        if name then
            headers[name:lower()] = headers[name:lower()] or value
        end
    end
    return tonumber((headers["status"] or ""):match("^%d+")), headers
end

local function begins(path, prefix)
    local bare = prefix:gsub("/$", "")
    return path == bare or path:sub(1, #bare + 1) == bare .. "/"
end

local function is_gated(site, path)
    for _, open in ipairs(site.open) do
        if path == open then
            return false
        end
    end
    for _, prefix in ipairs(site.paths) do
        if begins(path, prefix) then
            return true
        end
    end
    return false
end

-- `site`: domains, paths (gated, with all below), open (exact paths that are not).
return function(r, site)
    if not is_gated(site, r.uri) then
        return apache2.DECLINED
    end
    local host = site.domains[1]
    for _, domain in ipairs(site.domains) do
        if domain == (r.hostname or ""):lower() then
            host = domain
        end
    end
    local address = r.useragent_ip
    local query = r.args and r.args ~= "" and "?" .. r.args or ""
    local status, headers = asked({
        REQUEST_METHOD = "GET",
        REQUEST_URI = r.unparsed_uri,
        X_ORIGINAL_URI = r.uri .. query,
        SCRIPT_NAME = "",
        PATH_INFO = r.uri,
        QUERY_STRING = r.args or "",
        CONTENT_LENGTH = "",
        SERVER_PROTOCOL = "HTTP/1.1",
        SERVER_NAME = host,
        SERVER_PORT = "443",
        HTTPS = "on",
        HTTP_HOST = host,
        HTTP_COOKIE = r.headers_in["Cookie"] or "",
        REMOTE_ADDR = address,
        VHOSTTYPE = "CDA",
    })
    if status == 200 then
        return apache2.DECLINED
    end
    r.err_headers_out["Cache-Control"] = "no-store"
    if status == 401 and headers["location"] then
        if headers["set-cookie"] then
            r.err_headers_out["Set-Cookie"] = headers["set-cookie"]
        end
        r.err_headers_out["Location"] = headers["location"]
        return 302
    end
    if status == nil then
        r:err("the gate does not answer: " .. tostring(headers))
        return 503
    end
    return 403
end
