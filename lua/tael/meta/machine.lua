---@meta tael.machine

--- What a check of this machine looks at: files, disk, clock, certificates. Changes nothing.
---@class tael.machine
local machine = {}

---@class tael.machine.File
---@field identity string  the same for two paths that lead to one file
---@field folder boolean
---@field mode integer      permission bits, such as 384 (0600)
---@field size integer      bytes
---@field modified integer  ms since 1970 UTC
---@field owned boolean     of the user that runs this

---@param path string
---@return tael.machine.File?
---@return tael.Error? err code "not_found"|"forbidden"|"unavailable"
function machine.file(path) end

--- Is the name a symbolic link, wherever it leads?
---@param path string
---@return boolean
function machine.is_link(path) end

--- The file system that holds the path.
---@param path string
---@return { free: integer, total: integer }? bytes
---@return tael.Error? err
function machine.space(path) end

--- What the system was told of its clock by the time service.
---@return { synchronised: boolean, offset_us: integer }?
---@return tael.Error? err
function machine.clock() end

--- What calls to others go out by; loads it.
---@return string? version
---@return tael.Error? err "unavailable": it is not there, or too old
function machine.libcurl() end

--- A certificate's chain and its private key, two PEM files, as a listener would load them.
---@param certificate string path
---@param key string path
---@return { not_before: integer, not_after: integer }? about times in ms since 1970 UTC
---@return tael.Error? err its message begins with the file's path; code "tls_mismatch": not that key
function machine.certificate(certificate, key) end

return machine
