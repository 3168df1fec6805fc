#!/bin/bash
# Makes the image "web" in two versions that differ in every way a file system can:
#
#   web-v1.oci/         v1 as an OCI layout (gzip layers), by umoci
#   web-v2.docker.tar   v2 as a docker-archive (plain layers), by umoci and then skopeo
#   web-v1.listing  web-v2.listing   what umoci unpacks from them, entry by entry
#
# Layers 1-3 (busybox, site, configuration) are shared: equal diff ids, gzip in v1 and plain in v2.
# Each planted difference is marked `#=`; testdata/README.md has them as a table.
. "$(dirname "$0")/common.sh"

layout=$work/web.oci
stamp=2026-01-01T00:00:00Z
umoci init --layout "$layout"
umoci new --image "$layout:base"

# Opens the image TAG as a bundle to edit; $root is its root file system.
open_image() {
    rm -rf "$work/bundle"
    umoci unpack --image "$layout:$1" "$work/bundle"
    root=$work/bundle/rootfs
}

# Packs what was edited as one more layer: close_layer TAG DATE MESSAGE.
close_layer() {
    settle "$root" "$2"
    umoci repack --no-mask-volumes --image "$layout:$1" --history.created "$2" \
        --history.created_by "$3" --history.author "imgit testdata" "$work/bundle"
}

# Adds a hand-made tar as a layer, for what umoci itself would not write: add_tar TAG DATE MESSAGE FILE.
add_tar() {
    umoci raw add-layer --image "$layout:$1" --history.created "$2" --history.created_by "$3" \
        --history.author "imgit testdata" "$4"
}

# ---- layer 1: busybox-static from Debian ----
open_image base
unpack_deb busybox-static "$work/busybox"
mkdir -p "$root"/{bin,dev,etc,home,opt,proc,root,run,sbin,srv,sys,tmp,usr/bin,usr/lib,usr/share,var/cache,var/log,var/spool}
chmod 1777 "$root/tmp"
chmod 0700 "$root/root"
cp "$work/busybox/bin/busybox" "$root/bin/busybox"
for applet in sh ls cat cp mv rm mkdir grep sed awk tar httpd vi; do ln -s busybox "$root/bin/$applet"; done
ln "$root/bin/busybox" "$root/sbin/init"                 # hard link inside one layer, across directories
printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/srv/www:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nwww-data:x:33:\n' > "$root/etc/group"
printf 'PRETTY_NAME="imgit test system"\nID=imgit-test\nVERSION_ID=1\n' > "$root/etc/os-release"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 660 "$root/dev/loop0" b 7 0
close_layer base 2026-01-05T10:00:00Z "busybox-static from Debian"

# ---- layer 2: the site ----
open_image base
mkdir -p "$root"/srv/www/{css,old/2019,img} "$root"/usr/share/web/themes/dark "$root"/usr/share/doc/web "$root"/tmp/build
cp /usr/share/common-licenses/{Apache-2.0,MPL-2.0,BSD} "$root/usr/share/doc/web/"
printf '<!doctype html>\n<title>web</title>\n<h1>It works</h1>\n' > "$root/srv/www/index.html"
setfattr -n user.mime_type -v text/html "$root/srv/www/index.html"
printf 'User-agent: *\nDisallow:\n' > "$root/srv/www/robots.txt"
printf 'body { margin: 2em }\n' > "$root/srv/www/css/site.css"
printf 'old news\n' > "$root/srv/www/old/2019/news.html"
printf 'older news\n' > "$root/srv/www/old/archive.html"
noise logo 4096 > "$root/srv/www/img/logo.bin"
printf 'Read me first.\nThen the manual.\n' > "$root/usr/share/doc/web/README"
printf 'bg=#000\n' > "$root/usr/share/web/themes/dark/colours"
printf 'font=mono\n' > "$root/usr/share/web/themes/dark/fonts"
printf 'step 1\nstep 2\n' > "$root/tmp/build/log.txt"    # whited out again by layer 4 of v1
: > "$root/srv/www/empty.txt"
close_layer base 2026-01-12T10:00:00Z "add the site"

# ---- layer 3: the server and its configuration ----
open_image base
mkdir -p "$root"/etc/web/{conf.d,releases/1,releases/2} "$root"/opt/{data,lib} "$root"/var/{cache,log,spool}/web "$root"/home/big "$root"/usr/lib/web
cat > "$root/etc/web/web.conf" <<'CONF'
# web.conf: the server's settings
listen 8080
root /srv/www
workers 2
index index.html
log /var/log/web/access.log
timeout 30
CONF
printf 'legacy on\n' > "$root/etc/web/legacy.conf"
printf 'gzip on\n' > "$root/etc/web/conf.d/gzip.conf"
printf 'not a real key\n' > "$root/etc/web/secret.key"
printf 'one\n' > "$root/etc/web/releases/1/name"
printf 'two\n' > "$root/etc/web/releases/2/name"
ln -s releases/1 "$root/etc/web/current"
ln -s ../usr/share/zoneinfo/UTC "$root/etc/localtime"
printf '#!/bin/sh\nexec httpd -f -p 8080 -h /srv/www\n' > "$root/usr/bin/web"
printf '#!/bin/sh\necho su\n' > "$root/usr/bin/web-su"
printf '#!/bin/sh\necho ping\n' > "$root/usr/bin/web-ping"
printf '#!/bin/sh\necho plugin\n' > "$root/opt/plugin"
chmod 0755 "$root"/usr/bin/web "$root"/usr/bin/web-ping "$root"/opt/plugin
chmod 4755 "$root/usr/bin/web-su"
setcap cap_net_raw+ep "$root/usr/bin/web-ping"
ln "$root/usr/bin/web" "$root/usr/bin/webd"              # a pair that v2 takes apart
printf 'alpha\n' > "$root/opt/data/a"
printf 'beta\n' > "$root/opt/data/b"
printf 'lib\n' > "$root/opt/lib/libweb.txt"
printf 'cached a\n' > "$root/var/cache/web/a"
printf 'cached b\n' > "$root/var/cache/web/b"
printf 'GET / 200\n' > "$root/var/log/web/access.log"
chmod 1777 "$root/var/spool/web"
printf 'big\n' > "$root/home/big/note"
printf 'old times\n' > "$root/home/big/born-1969"
touch -d '1969-07-20T20:17:40Z' "$root/home/big/born-1969"   # a negative time
printf 'exact\n' > "$root/home/big/nanoseconds"
touch -d '2026-01-15T12:34:56Z' "$root/home/big/nanoseconds"
long=$(printf 'n%.0s' $(seq 1 250)).html                  # 255 bytes, the longest name Linux has
printf 'long name\n' > "$root/srv/www/$long"
deep=$root/srv/www/$(printf 'directory-with-a-long-name/%.0s' 1 2 3 4 5 6 7 8 9 10 11 12)
mkdir -p "$deep"
printf 'deep\n' > "$deep/leaf.html"                       # a path of more than 255 bytes
printf 'accents\n' > "$root/srv/www/$(printf 'caf\xc3\xa9').html"
mkfifo -m 600 "$root/run/web.fifo"
mknod -m 600 "$root/dev/web0" c 240 0
close_layer base 2026-01-19T10:00:00Z "add the server"

umoci tag --image "$layout:base" v1
umoci tag --image "$layout:base" v2

# ---- v1, layer 4: clean up (explicit whiteouts only) ----
open_image v1
rm -r "$root/tmp/build"
rm "$root/usr/share/doc/web/BSD"
close_layer v1 2026-02-01T09:00:00Z "clean up"

# ---- v1, layer 5: a name that is not UTF-8, by hand, since umoci would not write it ----
python3 "$make_dir/layer.py" "$work/v1-names.tar" 2026-02-01T09:30:00Z <<'LAYER'
dir  srv/www
file srv/www/caf%E9.html mode=0644 text=latin-1%0A
file srv/www/%FF%FEodd   mode=0600 text=bytes%0A
LAYER
add_tar v1 2026-02-01T09:30:00Z "names that are not UTF-8" "$work/v1-names.tar"

# ---- v1, layer 6: sub-second times and a sparse file, by GNU tar, since umoci's times are whole seconds ----
mkdir -p "$work/gnu/home/big" "$work/gnu/var/lib"
printf 'exact\n' > "$work/gnu/home/big/nanoseconds"
touch -d '2026-01-15T12:34:56.123456789Z' "$work/gnu/home/big/nanoseconds"   #= time alone, by less than a second
truncate -s 1M "$work/gnu/var/lib/sparse.img"
printf 'island' | dd of="$work/gnu/var/lib/sparse.img" bs=1 seek=524288 conv=notrunc status=none   #= v2 lacks it
settle "$work/gnu" 2026-02-01T09:40:00Z
# GNU tar puts its process id into the name of a sparse entry: in a namespace of its own that is 1.
unshare --pid --fork tar -C "$work/gnu" -cf "$work/v1-gnu.tar" --format=posix --sparse --no-recursion --owner=0 --group=0 --numeric-owner \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    home/big home/big/nanoseconds var var/lib var/lib/sparse.img
add_tar v1 2026-02-01T09:40:00Z "sub-second times and holes" "$work/v1-gnu.tar"

umoci config --image "$layout:v1" --no-history --created 2026-02-01T10:00:00Z --author "imgit testdata" \
    --architecture amd64 --os linux \
    --config.env PATH=/usr/bin:/bin --config.env WEB_PORT=8080 --config.env WEB_DEBUG=1 \
    --config.entrypoint /usr/bin/web --config.cmd --quiet \
    --config.label org.opencontainers.image.version=1.0 --config.label stage=beta \
    --config.user www-data --config.exposedports 8080/tcp --config.workingdir /srv/www \
    --config.volume /var/log/web --config.stopsignal SIGTERM

# ---- v2, layer 4: the next release ----
open_image v2
sed -i -e 's/^listen 8080/listen 8443/' -e 's/^workers 2/workers 4/' -e '/^timeout/a tls /etc/web/tls.conf' "$root/etc/web/web.conf"   #= text changed
printf 'cert /etc/web/cert.pem\n' > "$root/etc/web/tls.conf"                     #= file added
mkdir "$root/srv/www/news"
printf '<h1>Version 2</h1>\n' > "$root/srv/www/news/v2.html"                     #= directory added
rm "$root/etc/web/legacy.conf"                                                   #= file removed
rm -r "$root/srv/www/old"                                                        #= directory removed
rm -r "$root/tmp/build"                                                          # as in v1
rm "$root/usr/share/doc/web/BSD"                                                 # as in v1
noise logo 4096 > "$root/srv/www/img/logo.bin"
printf '\x00\x01\x02\x03' | dd of="$root/srv/www/img/logo.bin" bs=1 seek=2048 conv=notrunc status=none   #= binary changed
printf 'no longer empty\n' > "$root/srv/www/empty.txt"                           #= empty file filled
ln -sfn releases/2 "$root/etc/web/current"                                       #= link target changed
rm "$root/etc/localtime" && printf 'TZif2 stand-in\n' > "$root/etc/localtime"    #= link -> file
rm "$root/opt/plugin" && mkdir "$root/opt/plugin"
printf '#!/bin/sh\necho plugin\n' > "$root/opt/plugin/run" && chmod 0755 "$root/opt/plugin/run"   #= file -> directory (its content moved inside)
chmod 0600 "$root/etc/web/secret.key"                                            #= mode
chmod 0755 "$root/usr/bin/web-su"                                                #= setuid lost
chmod 0755 "$root/var/spool/web"                                                 #= sticky lost
chown 33:33 "$root/var/log/web" "$root/var/log/web/access.log"                   #= owner
chown 3000000:3000000 "$root/home/big" "$root/home/big/note"                     #= owner beyond 2^21, which octal tar fields cannot hold
setfattr -x user.mime_type "$root/srv/www/index.html"
setfattr -n user.charset -v utf-8 "$root/srv/www/index.html"                     #= xattr removed, xattr added
setfattr -n user.checked -v yes "$root/srv/www/css/site.css"                     #= xattr added
setcap cap_net_bind_service+ep "$root/usr/bin/web-ping"                          #= capability changed
rm "$root/usr/bin/webd" && cp "$root/usr/bin/web" "$root/usr/bin/webd"           #= hard link taken apart, content equal
ln "$root/usr/bin/webd" "$root/usr/bin/web3"                                     #= hard link added
rm "$root/run/web.fifo"                                                          #= fifo removed
rm "$root/dev/web0" && mknod -m 600 "$root/dev/web0" c 240 1                     #= device numbers changed
mkfifo -m 644 "$root/run/web2.fifo"                                              #= fifo added
mv "$root/usr/share/doc/web/README" "$root/usr/share/doc/web/README.md"          #= file renamed, content equal
mv "$root/usr/share/web/themes/dark" "$root/usr/share/web/themes/night"          #= directory renamed
touch -d 2026-03-01T08:00:00Z "$root/srv/www/robots.txt"                         #= time alone
mv "$root/srv/www/$long" "$root/srv/www/${long/%n.html/2.html}"                  #= long name renamed
rm -r "$root/srv/www/directory-with-a-long-name"                                 #= deep path removed
close_layer v2 2026-03-01T09:00:00Z "version 2"

# ---- v2, layer 5: an opaque directory, by umoci insert ----
mkdir "$work/cache"
printf 'cached a\n' > "$work/cache/a"                                            #= opaque: a stands in both, equal
printf 'cached c\n' > "$work/cache/c"                                            #= b removed by the opaque whiteout, c added
settle "$work/cache" 2026-03-01T09:10:00Z
umoci insert --image "$layout:v2" --opaque --history.created 2026-03-01T09:10:00Z \
    --history.created_by "warm the cache afresh" --history.author "imgit testdata" "$work/cache" /var/cache/web

# ---- v2, layer 6: by hand, what umoci would not write ----
python3 "$make_dir/layer.py" "$work/v2-names.tar" 2026-03-01T09:30:00Z <<'LAYER'
dir  ./srv/www/
file ./srv/www/caf%E9.html mode=0644 text=latin-1,%20second%20edition%0A
dir  ./opt/
file ./opt/data mode=0644 text=alpha%0Abeta%0A
sym  ./opt/lib to=../usr/lib/web
dir  ./usr/
link ./usr/local-index.html to=srv/www/index.html
dir  ./etc/web/conf.d/
file ./etc/web/conf.d/order.conf mode=0644 text=written%20before%20its%20whiteout%0A
white ./etc/web/conf.d opaque
LAYER
#= directory -> file and directory -> link: umoci would add whiteouts below them, `opt/data/.wh.a`, which podman cannot apply
#= names that are not UTF-8: caf\xe9.html changed, \xff\xfeodd removed (v2 never had it)
#= a hard link to a file of a lower layer; an opaque whiteout after its sibling
add_tar v2 2026-03-01T09:30:00Z "odd things by hand" "$work/v2-names.tar"

#= configuration: see the flags beside v1's
umoci config --image "$layout:v2" --no-history --created 2026-03-01T10:00:00Z --author "imgit testdata" \
    --architecture amd64 --os linux \
    --config.env PATH=/usr/bin:/bin --config.env WEB_PORT=8443 --config.env WEB_TLS=1 \
    --config.entrypoint /usr/bin/web3 --config.cmd --quiet --config.cmd --tls \
    --config.label org.opencontainers.image.version=2.0 --config.label org.opencontainers.image.title=web \
    --config.user 33:33 --config.exposedports 8080/tcp --config.exposedports 8443/tcp --config.workingdir /srv/www \
    --config.volume /var/log/web --config.stopsignal SIGQUIT

# ---- out ----
cp -r "$layout" "$work/out.oci"
for tag in base v2; do umoci rm --image "$work/out.oci:$tag"; done
umoci gc --layout "$work/out.oci"
skopeo copy -q "oci:$layout:v2" "docker-archive:$work/web-v2.tar:docker.io/library/web:v2"

for version in v1 v2; do
    rm -rf "$work/$version"
    umoci unpack --image "$layout:$version" "$work/$version"
    python3 "$testdata/../tests/support/listing.py" "$work/$version/rootfs" > "$work/web-$version.listing"
    install_fixture "$work/web-$version.listing" "web-$version.listing"
done
install_fixture "$work/out.oci" web-v1.oci
install_fixture "$work/web-v2.tar" web-v2.docker.tar
