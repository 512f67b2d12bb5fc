// install.test.mjs - `make install` into an empty folder: the installed program runs alone, a C host compiles with
// pkg-config and creates a payment, the library shows no name but tael.h's, and the header stands alone.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, root, temporaryFolder } from './tael.mjs';

let folder, prefix, environment;
const run = (command, args, options = {}) => execFileSync(command, args, { encoding: 'utf8', env: environment, ...options });

before(async () => {
    folder = temporaryFolder('install');
    prefix = path.join(folder, 'usr');
    run('make', ['install', `PREFIX=${prefix}`], { cwd: root, env: { ...process.env, MAKEFLAGS: '' } });
    environment = {
        ...process.env, PKG_CONFIG_PATH: `${prefix}/lib/pkgconfig`, LD_LIBRARY_PATH: `${prefix}/lib`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${await freePort()}`,
    };
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

test('DESTDIR is honoured and nothing is written elsewhere', () => {
    const image = path.join(folder, 'image');
    run('make', ['install', 'PREFIX=/usr', `DESTDIR=${image}`], { cwd: root, env: { ...process.env, MAKEFLAGS: '' } });
    for (const file of ['bin/tael', 'libexec/tael/tael-script', 'lib/libtael.so.0', 'include/tael.h', 'share/tael/lua/tael/server.lua',
        'share/tael/scripts/channels/alipay/init.lua', 'lib/pkgconfig/tael.pc'])
        assert.ok(fs.existsSync(path.join(image, 'usr', file)), file);
});

test('whoever installs with whatever umask and wherever, others can read it', () => {
    const place = path.join(folder, 'a place');
    const made = path.join(place, 'image/opt/tael engine');
    fs.mkdirSync(place);
    run('sh', ['-c', 'umask 077; make install "PREFIX=/opt/tael engine" "DESTDIR=$1/image"', 'sh', place], {
        cwd: root, env: { ...process.env, MAKEFLAGS: '' } });
    for (const at of [made, ...fs.readdirSync(made, { recursive: true }).map((name) => path.join(made, name))]) {
        const { mode } = fs.statSync(at);
        assert.equal(mode & 0o044, 0o044, at);
        if (fs.statSync(at).isDirectory()) assert.equal(mode & 0o011, 0o011, at);
    }
    const flags = run('pkg-config', ['--cflags', 'tael'], {
        env: { ...process.env, PKG_CONFIG_LIBDIR: `${made}/lib/pkgconfig` } }).trim(); // nobody else's headers are needed
    assert.equal(flags, '-I/opt/tael\\ engine/include');
});

test('a prefix that is not absolute is refused before anything is written', () => {
    const { status, stderr } = spawnSync('make', ['install', 'PREFIX=build/relative'], {
        cwd: root, env: { ...process.env, MAKEFLAGS: '' }, encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.match(stderr, /PREFIX has to be an absolute path, not build\/relative/);
    assert.ok(!fs.existsSync(path.join(root, 'build/relative')));
});

test('the installed program finds its own files', () => {
    const version = fs.readFileSync(path.join(root, 'VERSION'), 'utf8').trim();
    assert.equal(run(`${prefix}/bin/tael`, ['version'], { cwd: folder }), `tael ${version}\n`);
});

test('the example of a C host compiles, links and creates a payment', () => {
    const example = path.join(root, 'examples/embed/hello.c');
    const flags = run('pkg-config', ['--cflags', '--libs', 'tael']).trim().split(/\s+/);
    const hello = path.join(folder, 'hello');
    run('cc', ['-std=c11', '-Wall', '-Wextra', '-Werror', example, ...flags, '-o', hello]);
    const answer = run(hello, [], { cwd: folder });
    assert.match(answer, /^201 \{/);
    assert.equal(JSON.parse(answer.slice(4)).state, 'pending');
});

test('the library exports the names of the header and no other', () => {
    const exported = run('nm', ['-D', '--defined-only', `${prefix}/lib/libtael.so.0`]).trim().split('\n')
        .map((line) => line.split(' ').pop().replace(/@.*/, '')).filter((name) => name !== 'TAEL_0').sort();
    const header = fs.readFileSync(`${prefix}/include/tael.h`, 'utf8');
    const declared = [...header.matchAll(/^TAEL_API [^;]*?\b(tael_\w+)\(/gms)].map((match) => match[1]).sort();
    assert.deepEqual(exported, declared);
});

test('the header compiles alone as C11 and as C++11', () => {
    const header = `${prefix}/include/tael.h`;
    run('cc', ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only', '-x', 'c', header]);
    run('c++', ['-std=c++11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c++', header]);
});

test("a C module of the system's Lua finds Lua in the program", () => {
    const own = path.join(folder, 'own');
    fs.cpSync(prefix, own, { recursive: true });
    const file = path.join(own, 'share/tael/lua/tael/cli/app.lua');
    fs.writeFileSync(file, `io.stdout:write(require("cjson").encode({ 1 }), "\\n")\n${fs.readFileSync(file, 'utf8')}`);
    assert.match(run(`${own}/bin/tael`, ['--help'], { cwd: folder }), /^\[1\]\n/);
});
