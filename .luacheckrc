std = "lua54"
max_line_length = 110
exclude_files = {
  "tests/sim/lua/tael", "tests/e2e/liar/channels/alipay", -- links into the tree
  "tests/unit/hostile", -- wrong on purpose
}
files["tests/spec"] = { std = "lua54+busted" }
files["lua/tael/meta"] = { ignore = { "212", "211", "221", "631" } } -- declarations for editors, which cannot wrap
