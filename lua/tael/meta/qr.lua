---@meta tael.qr

--- Text as a QR code (C: engine/bind/qr.c, on libqrencode), the smallest version that holds it.
---@class tael.qr
local qr = {}

---@class tael.qr.Error
---@field code "too_long"
---@field message string

---@class tael.qr.Options
---@field level "L"|"M"|"Q"|"H"|nil how much may be unreadable: 7, 15 (default), 25, 30 of a hundred

--- The rows from the top, each a string of "0" (light) and "1" (dark) as long as there are rows. Around it
--- belong four light modules on every side, which are not included.
---@param text string not empty, without NUL
---@param options tael.qr.Options?
---@return string[]? rows
---@return tael.qr.Error? err
function qr.encode(text, options) end

return qr
