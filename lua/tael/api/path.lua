--- Paths: decoded once, then matched exactly against the routes' patterns. A path that could mean something
--- else to a proxy or a file system in front of us is refused before it is matched (threats R45).
local path = {}

local SEGMENTS_MAX = 16
local KNOWN_MAX = 64
local REFUSED_ESCAPES = { ["00"] = true, ["2f"] = true, ["5c"] = true }

local function decode_segment(segment)
    if not segment:find("[^%w_-]") then
        return segment
    end
    local bad = false
    local text = segment:gsub("%%(%x?%x?)", function(digits)
        if #digits ~= 2 or REFUSED_ESCAPES[digits:lower()] then
            bad = true
            return nil
        end
        return string.char(tonumber(digits, 16))
    end)
    if bad or text == "." or text == ".." or text:find("[%c\127;\\/]") or not utf8.len(text) then
        return nil
    end
    return text
end

--- "/v1/payments/pay_1" -> {"v1", "payments", "pay_1"}
---@param text string still encoded, without the query
---@return string[]? segments nil: refused
function path.split(text)
    if text:sub(1, 1) ~= "/" or text:find("//", 1, true) then
        return nil
    end
    local segments = {}
    for segment in text:gmatch("[^/]+") do
        local decoded = decode_segment(segment)
        if not decoded or #segments == SEGMENTS_MAX then
            return nil
        end
        segments[#segments + 1] = decoded
    end
    if text:sub(-1) == "/" then
        segments[#segments + 1] = "" -- matches nothing: "/v1/payments/" is not "/v1/payments"
    end
    return segments
end

--- The name in braces and what follows it: "{payment}.svg" -> "payment", ".svg"
local function named(part)
    return part:match("^{([%w_]+)}([%w.]*)$")
end

--- A tree of patterns: a literal segment goes before a name in braces.
---@param routes table[] {method, path, few, …}; few: there are few such addresses, asked for all the time
---@return table tree
function path.compile(routes)
    local tree = { next = {}, whole = {}, known = {}, known_count = 0 }
    for _, route in ipairs(routes) do
        local at = tree
        for part in route.path:gmatch("[^/]+") do
            local name, suffix = named(part)
            local found = name and at.any or at.next[part]
            if not found then
                found = { next = {}, name = name, suffix = suffix }
                if name then
                    at.any = found
                else
                    at.next[part] = found
                end
            end
            at = found
        end
        at.methods = at.methods or {}
        at.methods[route.method] = route
        at.few = at.few or route.few
        if not route.path:find("{", 1, true) then
            tree.whole[route.path] = at.methods
        end
    end
    return tree
end

--- What of a segment the node's name stands for; nil when it does not fit.
local function value_of(node, segment)
    local suffix = node and node.suffix
    if not suffix or segment == "" then
        return nil
    elseif suffix == "" then
        return segment
    end
    return segment:sub(-#suffix) == suffix and #segment > #suffix and segment:sub(1, -#suffix - 1) or nil
end

---@param tree table
---@param segments string[]
---@return table<string, table>? methods of the path: method -> route
---@return table<string, string>? params
---@return boolean? few
function path.match(tree, segments)
    local at, params = tree, {}
    for _, segment in ipairs(segments) do
        local found = at.next[segment]
        if not found then
            local value = value_of(at.any, segment)
            if not value then
                return nil
            end
            found = at.any
            params[found.name] = value
        end
        at = found
    end
    return at.methods, params, at.few
end

--- What an address stands for is kept. Anybody may ask for others: when there are too many, all go.
local function keep(tree, text, methods, params)
    if tree.known_count == KNOWN_MAX then
        tree.known, tree.known_count = {}, 0
    end
    tree.known[text] = { methods = methods, params = params }
    tree.known_count = tree.known_count + 1
end

--- The methods of a path as it was sent.
---@param tree table
---@param text string still encoded, without the query
---@return table<string, table>? methods method -> route
---@return table<string, string>|false|nil params read only; false: the path is refused
function path.find(tree, text)
    local whole, known = tree.whole[text], tree.known[text]
    if whole then
        return whole, {}
    elseif known then
        return known.methods, known.params
    end
    local segments = path.split(text)
    if not segments then
        return nil, false
    end
    local methods, params, few = path.match(tree, segments)
    if methods and few then
        keep(tree, text, methods, params)
    end
    return methods, params
end

return path
