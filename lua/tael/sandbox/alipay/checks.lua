--- What the simulated gateway checks before a method runs, in Alipay's order (protocol reference §13): each
--- step gives a failure or nil. The application is looked for before the signature; until it is found nothing
--- is signed.
local json = require "tael.json"

local answers = require "tael.sandbox.alipay.answers"
local clock = require "tael.sandbox.alipay.clock"
local wire = require "tael.sandbox.alipay.wire"

local checks = {}

local fail = answers.fail

local function missing(fields, name)
    return fields[name] == nil or fields[name] == ""
end

local steps = {
    function(call)
        if call.doubled then
            return fail("40002", "isv.invalid-parameter", "参数无效：" .. call.doubled)
        end
    end,
    function(call)
        if missing(call.fields, "method") then
            return fail("40001", "isv.missing-method")
        elseif not call.method then
            return fail("40002", "isv.invalid-method")
        end
    end,
    function(call)
        if missing(call.fields, "app_id") then
            return fail("40001", "isv.missing-app-id")
        elseif not call.known_app then
            return fail("40002", "isv.invalid-app-id")
        end
        call.app = call.known_app -- from here on answers are signed
    end,
    function(call)
        if missing(call.fields, "timestamp") then
            return fail("40001", "isv.missing-timestamp")
        elseif not clock.parse(call.fields.timestamp) then
            return fail("40002", "isv.invalid-timestamp")
        end
    end,
    function(call)
        if missing(call.fields, "version") then
            return fail("40001", "isv.missing-version")
        elseif call.fields.version ~= "1.0" then
            return fail("40002", "isv.invalid-parameter", "参数无效：version")
        end
    end,
    function(call)
        if missing(call.fields, "sign_type") then
            return fail("40001", "isv.missing-signature-type")
        elseif call.fields.sign_type ~= "RSA2" then
            return fail("40002", "isv.invalid-signature-type")
        end
    end,
    function(call)
        if (call.fields.charset or ""):lower() ~= "utf-8" then
            return fail("40002", "isv.invalid-charset")
        elseif call.fields.format and call.fields.format:upper() ~= "JSON" then
            return fail("40002", "isv.invalid-format")
        end
    end,
    function(call)
        if missing(call.fields, "sign") then
            return fail("40001", "isv.missing-signature")
        end
        local fits, text = wire.verify_request(call.fields, call.app.merchant_key)
        if not fits then
            return fail("40002", "isv.invalid-signature",
                "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为："
                .. text:gsub("&", "&amp;"))
        end
    end,
    function(call)
        if call.fields.encrypt_type then
            return fail("40002", "isv.invalid-encrypt-type")
        end
    end,
    function(call)
        local content = json.decode(call.fields.biz_content or "")
        if type(content) ~= "table" or json.is_array(content) then
            return fail("40002", "isv.illegal-json")
        end
        call.content = content
    end,
}

--- The first failure of a call; nil: the method may run.
---@param call table {fields, doubled?, method?, known_app?}; gains app and content
---@return table? failure
function checks.run(call)
    for _, step in ipairs(steps) do
        local failure = step(call)
        if failure then
            return failure
        end
    end
end

return checks
