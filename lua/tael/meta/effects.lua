---@meta tael
-- Made of lua/tael/effects.lua by scripts/reference.lua: not changed here.
-- luacheck: no max line length

--- What the world says against it.
---@class tael.ScriptError
---@field code string one word, such as "not_found"; scripts/EFFECTS.md has them
---@field message string for people
---@field retriable boolean? the same may be tried again
---@field pointer string? the field that is wrong
---@field existing string? the object that has this number
---@field status integer? of http_status

--- An answer of another server.
---@class tael.Response
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string
---@field json any of a JSON answer, without null members; numbers that are no integers are texts

--- scripts/merchants/<slug>/routes.lua gives back a table of these: ["GET /orders/:id"] = handler or options.
---@alias tael.Routes table<string, tael.RouteHandler|tael.RouteOptions>
---@alias tael.RouteHandler fun(request: tael.RouteRequest): tael.RouteAnswer?

---@class tael.RouteOptions
---@field handler tael.RouteHandler
---@field auth ("api_key"|"hmac"|"none")? "api_key" without it: a key of this merchant
---@field secret string? of "hmac": the merchant's secret that requests are signed with
---@field body ("json"|"form"|"text"|"none")? "json" without it for POST, PUT and PATCH
---@field max_body integer? bytes; http.limits.body holds for all

---@class tael.RouteRequest
---@field method string
---@field path string as sent
---@field params table<string, string> of the path
---@field query table<string, string>
---@field headers table<string, string> names in lower case
---@field body string
---@field json any of body = "json"; null is tael.json.null
---@field form table<string, string>? of body = "form"
---@field ip string? whose request it is; nil over a local socket, or from the program that holds the engine

--- nil is 204. Beside json, text or body, status is 200 where it is not said.
---@class tael.RouteAnswer
---@field status integer?
---@field headers table<string, string>?
---@field json any
---@field text string?
---@field body string? bytes

--- What `require "tael"` gives to a merchant's scripts. Rules have the helpers; effects are for routes and
--- jobs.
---@class tael
---@field json tael.json array, object, null, is_array, is_decimal, decode, encode
---@field money tael.Money
---@field time tael.Time
---@field codec { hex: tael.Codec, base64: tael.Codec }
---@field deep_equal fun(a: any, b: any): boolean
---@field response fun(answer: tael.RouteAnswer): tael.RouteAnswer
---@field problem fun(status: integer, code: string, detail: string?, members: table?): tael.RouteAnswer
local tael = {}

---@class tael.Money amounts as integers of minor units; what does not fit is raised
---@field format fun(minor: integer, currency: string): string 1234 CNY is "12.34"
---@field parse fun(text: string, currency: string): integer? nil: no amount of it
---@field add fun(a: integer, b: integer): integer
---@field sub fun(a: integer, b: integer): integer
---@field percent fun(minor: integer, percent: string|integer): integer rounded half up
---@field split fun(minor: integer, weights: integer|integer[]): integer[] in all what was split

---@class tael.Time
---@field parse fun(text: string): integer? RFC 3339, as ms; nil: it is none
---@field format fun(ms: integer, format: string?, zone: string?): string %Y %m %d %H %M %S %F %T %z %%
---@field duration fun(text: string): integer? "30m", as ms; nil: it is none

---@class tael.Codec
---@field encode fun(bytes: string): string
---@field decode fun(text: string): string?

---@class tael.ChargeInput
---@field account string?
---@field amount integer minor units
---@field capture string?
---@field channel string? without it the only account's
---@field channel_options table<string, any>? what only one channel knows, by channel
---@field currency string ISO 4217
---@field description string?
---@field device string? chooses page, wap, jsapi or qr
---@field expires_at string?
---@field expires_in integer? seconds
---@field merchant_order_id string the merchant's own, unique for ever
---@field metadata table<string, any>?
---@field parallel string? may another attempt begin beside an open one
---@field payer table?
---@field product string? way of paying; without it by device
---@field return_url string? where the payer comes back to, https
---@field subject string shown to the payer

---@class tael.RefundInput
---@field amount integer? minor units; without it all that is refundable
---@field merchant_refund_id string
---@field reason string? shown to the payer by some channels

---@class tael.HttpOptions
---@field body string?
---@field form table<string, any>?
---@field headers table<string, any>?
---@field json any?
---@field query table<string, any>?
---@field timeout string?

---@class tael.Payment
---@field account string? channel account, a slug
---@field amount integer? asked for, in minor units of currency (fen, cents)
---@field attempt string? the newest attempt
---@field attempts any[]? with expand=attempts: newest first
---@field authorized_amount integer? held at the payer's account, in minor units of currency (fen, cents)
---@field capture string? when the money is taken
---@field captured_amount integer? received, in minor units of currency (fen, cents)
---@field channel string? of the newest attempt
---@field closed_at string? when it was closed; RFC 3339, UTC, milliseconds
---@field closing boolean? somebody wants it closed and the channel has not confirmed it yet
---@field created_at string? when it was made; RFC 3339, UTC, milliseconds
---@field currency string? ISO 4217
---@field description string? longer text
---@field events any[]? with expand=events: newest first, at most 100
---@field expires_at string? when the order ends; RFC 3339, UTC, milliseconds
---@field failure table? why it failed
---@field fee integer? what the merchant's rule asks for it; changes no amount, in minor units of currency (fen, cents)
---@field flow string? reserved
---@field generation string? reserved
---@field id string? names this payment
---@field late boolean? the money came after it was closed or had failed
---@field livemode boolean? real money
---@field merchant string? slug of the merchant
---@field merchant_order_id string? the merchant's own number, unique for ever
---@field metadata table? the merchant's own texts by name
---@field next_action any?
---@field notifications any[]? with expand=notifications: newest first, at most 100
---@field object string?
---@field paid_at string? when the channel took the money; RFC 3339, UTC, milliseconds
---@field parallel string? may another attempt begin beside an open one
---@field payer table? who pays, masked
---@field product string? way of paying, such as page or qr
---@field reason string? why it is closed, failed or under review
---@field refundable_amount integer? can still be given back, in minor units of currency (fen, cents)
---@field refunded_amount integer? given back, in minor units of currency (fen, cents)
---@field refunds any[]? with expand=refunds: newest first, at most 100
---@field return_url string? where the payer comes back to
---@field risk table? what the merchant's rule said of it when it was made
---@field state string? where it stands
---@field subject string? shown to the payer
---@field updated_at string? when it last changed; RFC 3339, UTC, milliseconds
---@field version integer? grows by one with each change

---@class tael.Refund
---@field amount integer? given back, in minor units of currency (fen, cents)
---@field attempt string? the order that gives the money back
---@field channel_refund_no string? the channel's number
---@field created_at string? when it was made; RFC 3339, UTC, milliseconds
---@field currency string? ISO 4217
---@field failure table? why it failed
---@field id string? names this refund
---@field livemode boolean? real money
---@field merchant string? slug of the merchant
---@field merchant_refund_id string? the merchant's own number, unique for ever
---@field metadata table? the merchant's own texts by name
---@field object string?
---@field payment string? of which payment
---@field reason string? the merchant's words
---@field refund_no string? our number at the channel
---@field state string? where it stands
---@field succeeded_at string? when the channel gave it back; RFC 3339, UTC, milliseconds
---@field updated_at string? when it last changed; RFC 3339, UTC, milliseconds
---@field version integer? grows by one with each change

--- Creates a payment, or finds the one that the same order made before. merchant_order_id is the key: the
--- same order again gives the same payment and charges nothing. The merchant's rules are asked as for the
--- API.
---@param order tael.ChargeInput the fields of POST /v1/payments
---@return tael.Payment? # as the API shows it, null members absent
---@return tael.ScriptError? err
function tael.charge(order) end

--- One payment of this merchant.
---@param id string "pay_…"
---@return tael.Payment?
---@return tael.ScriptError? err
function tael.get(id) end

--- The payment of an order.
---@param merchant_order_id string the merchant's own number
---@return tael.Payment?
---@return tael.ScriptError? err
function tael.find(merchant_order_id) end

--- Closes a payment that nobody has paid. paid: money came first. unknown: only the channel knows yet, and
--- it goes on by itself.
---@param payment tael.Payment|string a payment, or its id
---@return true? # it is closed for certain
---@return tael.ScriptError? err
function tael.close(payment) end

--- Asks the channel now, at most once a second for an order.
---@param payment tael.Payment|string a payment, or its id
---@return tael.Payment? # as it is then
---@return tael.ScriptError? err
function tael.query(payment) end

--- Gives money back. merchant_refund_id is the key: the same refund again gives the same one. Without
--- amount: all that is refundable.
---@param payment tael.Payment|string a payment, or its id
---@param options tael.RefundInput the fields of POST /v1/payments/{id}/refunds; merchant_refund_id is needed
---@return tael.Refund? # as the API shows it
---@return tael.ScriptError? err
function tael.refund(payment, options) end

--- Puts a payment that is not paid yet before a person.
---@param payment tael.Payment|string a payment, or its id
---@param reason string for the person, at most 500 bytes
---@return true? # it is under review
---@return tael.ScriptError? err
function tael.review(payment, reason) end

tael.http = {}

--- Asks another server: GET. Only hosts that the operator has listed for this merchant
--- (merchants.<slug>.hosts), by https, at public addresses; redirects are not followed; the answer has at
--- most 256 KiB. Options: at most one of json, form and body; headers, query; timeout such as "5s". json of
--- the answer has no null members.
---@param url string https://…
---@param options? tael.HttpOptions what is sent
---@return tael.Response? # status, headers, body, json
---@return tael.ScriptError? err
function tael.http.get(url, options) end

--- Asks another server: POST. Only hosts that the operator has listed for this merchant
--- (merchants.<slug>.hosts), by https, at public addresses; redirects are not followed; the answer has at
--- most 256 KiB. Options: at most one of json, form and body; headers, query; timeout such as "5s". json of
--- the answer has no null members.
---@param url string https://…
---@param options? tael.HttpOptions what is sent
---@return tael.Response? # status, headers, body, json
---@return tael.ScriptError? err
function tael.http.post(url, options) end

--- Asks another server: PUT. Only hosts that the operator has listed for this merchant
--- (merchants.<slug>.hosts), by https, at public addresses; redirects are not followed; the answer has at
--- most 256 KiB. Options: at most one of json, form and body; headers, query; timeout such as "5s". json of
--- the answer has no null members.
---@param url string https://…
---@param options? tael.HttpOptions what is sent
---@return tael.Response? # status, headers, body, json
---@return tael.ScriptError? err
function tael.http.put(url, options) end

--- Asks another server: PATCH. Only hosts that the operator has listed for this merchant
--- (merchants.<slug>.hosts), by https, at public addresses; redirects are not followed; the answer has at
--- most 256 KiB. Options: at most one of json, form and body; headers, query; timeout such as "5s". json of
--- the answer has no null members.
---@param url string https://…
---@param options? tael.HttpOptions what is sent
---@return tael.Response? # status, headers, body, json
---@return tael.ScriptError? err
function tael.http.patch(url, options) end

--- Asks another server: DELETE. Only hosts that the operator has listed for this merchant
--- (merchants.<slug>.hosts), by https, at public addresses; redirects are not followed; the answer has at
--- most 256 KiB. Options: at most one of json, form and body; headers, query; timeout such as "5s". json of
--- the answer has no null members.
---@param url string https://…
---@param options? tael.HttpOptions what is sent
---@return tael.Response? # status, headers, body, json
---@return tael.ScriptError? err
function tael.http.delete(url, options) end

tael.crypto = {}

--- The SHA-256 of a text.
---@param text string bytes
---@return string # 64 hexadecimal digits
function tael.crypto.sha256(text) end

--- The HMAC-SHA-256 of a text under a secret, which no script ever sees.
---@param secret string its name in merchants.<slug>.secrets
---@param text string bytes
---@return string # 64 hexadecimal digits
function tael.crypto.hmac_sha256(secret, text) end

--- Are two texts the same? Takes equally long wherever they differ.
---@param one string
---@param other string
---@return boolean
function tael.crypto.equal(one, other) end

tael.state = {}

--- What was kept under a key. nil with an error in place of the version: it could not be read, and may be
--- there.
---@param key string at most 128 bytes
---@return any? # nil: nothing
---@return integer|tael.ScriptError # its version; 0: there is none; an error: nobody knows
function tael.state.get(key) end

--- Keeps a value under a key; nil removes it. conflict: somebody else was first; read it again. A merchant
--- has at most 10,000 keys.
---@param key string at most 128 bytes
---@param value? any at most 4 KiB as JSON
---@param version? integer that it must have now; 0: that there is none
---@return integer? # the new version; 0: removed
---@return tael.ScriptError? err
function tael.state.put(key, value, version) end

--- Adds to a counter of this merchant's, which /metrics shows as tael_script_total. A merchant has at most
--- 200 counters on a worker.
---@param name string a word
---@param value integer 0 or more
---@param labels? table<string, string> at most 4 short texts by name
---@return true?
---@return tael.ScriptError? err
function tael.metric(name, value, labels) end

--- The time, in ms since 1970 UTC.
---@return integer # ms
function tael.now() end

--- A moment as people write it.
---@param format string %Y %m %d %H %M %S %F (date) %T (time) %z (zone) %%
---@param ms? integer since 1970 UTC; without it now
---@param zone? string "UTC", which holds without it, or an offset such as "+08:00"
---@return string
function tael.date(format, ms, zone) end

--- A number by chance, each from the first to the last equally likely.
---@param first integer the least
---@param last integer the greatest
---@return integer # from first to last
function tael.random(first, last) end

--- A text that nobody has had before: 26 characters, by time, then by chance.
---@param prefix? string in front of it, with '_' between: at most 16 small letters and digits
---@return string # such as cart_01k…
function tael.id(prefix) end

tael.log = {}

--- Writes a line of the engine's log, as script.info of this merchant. 20 lines in a call, of more only
--- their number is told; fields are texts, numbers and booleans, at most 16.
---@param message string at most 1000 bytes
---@param fields? table what belongs to it, by name
function tael.log.info(message, fields) end

--- Writes a line of the engine's log, as script.warn of this merchant. 20 lines in a call, of more only
--- their number is told; fields are texts, numbers and booleans, at most 16.
---@param message string at most 1000 bytes
---@param fields? table what belongs to it, by name
function tael.log.warn(message, fields) end

--- Writes a line of the engine's log, as script.error of this merchant. 20 lines in a call, of more only
--- their number is told; fields are texts, numbers and booleans, at most 16.
---@param message string at most 1000 bytes
---@param fields? table what belongs to it, by name
function tael.log.error(message, fields) end

return tael
