--- Parts that several schemas of the API share: limits of lists, metadata, slugs.
local schema = {}

schema.limit = { type = "integer", min = 1, max = 100 }
schema.cursor = { type = "string", max = 128 }
schema.time = { type = "time" }

--- Parameters of a list, with those of its own.
---@param own table<string, table>
---@return table<string, table>
function schema.list(own)
    local fields = { limit = schema.limit, cursor = schema.cursor }
    for name, field in pairs(own) do
        fields[name] = field
    end
    return fields
end

schema.LIMIT_DEFAULT = 20

local METADATA_BYTES = 4096

--- Of requests that say everything with their path: no body, or {}.
schema.empty = { fields = {}, optional = true }

schema.metadata = {
    type = "map", count = 20, key = "^[%w_.%-]+$", key_max = 40,
    key_form = "1 to 40 letters, digits, '_', '.' or '-'",
    value = { type = "string", bytes = 500, control = true },
    check = function(value)
        local bytes = 0
        for name, text in pairs(value) do
            bytes = bytes + #name + (type(text) == "string" and #text or 0)
        end
        return bytes > METADATA_BYTES and "must have at most 4 KiB in all" or nil
    end,
}

--- Changes of metadata: null removes a member.
schema.metadata_patch = { required = true, nulls = true }
for name, value in pairs(schema.metadata) do
    schema.metadata_patch[name] = value
end

--- A public id as a parameter.
schema.id = { type = "string", max = 64 }

--- The slug of an account or a channel's name.
schema.slug = { type = "string", max = 40, match = "^[a-z][a-z0-9.%-]*$", form = "a slug such as acme-main" }

schema.PRODUCTS = { "page", "wap", "app", "qr", "barcode", "jsapi", "mini_program", "agreement" }

return schema
