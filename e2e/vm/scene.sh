#!/bin/busybox sh
# What happens in a guest: connection tracking absent, loaded, in use, full, wrongly configured, full in a
# container, and unloaded again. At each step `plimsoll check --json`, as root and as nobody, and around the looks
# everything that a look could disturb. Nothing is judged here: the host does (xtask/src/guests/judge.rs).
export PATH=/sbin:/bin
# This shell prefers its own applets of these names.
ip() { /sbin/ip "$@"; }
modprobe() { /sbin/modprobe "$@"; }
setpriv() { /sbin/setpriv "$@"; }
out=/tmp/out
check="plimsoll check --json --interval 0.5"
there="/sbin/ip netns exec client"
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups $check"

count() { cat /proc/sys/net/netfilter/nf_conntrack_count; }

# A rule that needs connection tracking, in whichever back end this kernel has.
firewall() {
    if iptables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT 2>>$out/legacy.err; then
        echo legacy
    else
        nft 'add table inet guard; add chain inet guard in { type filter hook input priority 0; };
            add rule inet guard in ct state established accept' && echo nft
    fi
}

# A neighbour of this host: visits over loopback are nobody's but its own.
neighbour() {
    ip netns add client
    ip link add to-client type veth peer name eth0 netns client
    ip addr add 10.9.0.1/24 dev to-client
    ip link set to-client up
    ip -n client addr add 10.9.0.2/24 dev eth0
    ip -n client link set eth0 up
}

# Real connections that fall silent after the handshake, until the table holds $1 entries: all of them ASSURED. httpd hangs
# up on who says nothing for a minute, and an emulated processor may need longer for the looks that want them there: so
# the children that it makes for them are stopped.
visitors() {
    rm -f /tmp/enough
    httpd -f -p $2:8080 -h /tmp &
    server=$!
    $3 $0 visit $2 &
    visiting=$!
    tries=0
    # One that is not answered yet gives way to the next.
    while [ "$(grep -c ASSURED /proc/net/nf_conntrack)" -lt "$1" ] && [ $tries -lt 600 ]; do
        usleep 50000
        tries=$((tries + 1))
        hold
    done
    : >/tmp/enough
    wait $visiting
    hold
}

hold() {
    for child in $(pidof httpd); do
        [ $child = $server ] || kill -STOP $child
    done
}

# New visitors, one after the other, as long as the file is there.
flood() {
    : >/tmp/flooding
    $2 $0 knock $1
}

leave() {
    killall -KILL nc httpd 2>/dev/null
    usleep 200000
}

case "$1" in
visit)
    tries=0
    while [ ! -e /tmp/enough ] && [ $tries -lt 300 ]; do
        nc $2 8080 <>/tmp/silence >/dev/null 2>&1 &
        tries=$((tries + 1))
        # Some are still shaking hands.
        [ $((tries % 20)) -ne 0 ] || usleep 100000
    done
    exit
    ;;
knock)
    while [ -e /tmp/flooding ]; do
        nc -w 1 $2 8080 </dev/null >/dev/null 2>&1 &
        usleep 30000
    done
    exit
    ;;
inside)
    ip link set lo up
    firewall >$out/container.backend
    visitors 100 127.0.0.1
    : >/tmp/inside
    flood 127.0.0.1
    exit
    ;;
esac

mkdir -p $out /run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ip link set lo up
hostname guest
mkfifo /tmp/silence

# All that looking must leave as it was. `nft` is asked only where nf_tables is there: asking would load it.
world() {
    mkdir -p "$out/$1"
    cut -d' ' -f1,3,4 /proc/modules | sort >"$out/$1/modules"
    for family in ip ip6; do cat /proc/net/${family}_tables_names >"$out/$1/${family}_tables_names" 2>/dev/null; done
    if grep -q '^nf_tables ' /proc/modules; then nft -s list ruleset >"$out/$1/nft" 2>&1; fi
    grep -rs . /proc/sys/net /proc/sys/kernel/modprobe | grep -v nf_conntrack_count | sort >"$out/$1/settings"
    grep -s . /sys/module/nf_conntrack/parameters/* >"$out/$1/parameters"
    # Without what ticks: the time left and the users.
    sed -E 's/^([^ ]+ +[0-9]+ +[^ ]+ +[0-9]+) [0-9]+/\1/; s/ use=[0-9]+//' /proc/net/nf_conntrack 2>/dev/null |
        sort >"$out/$1/entries"
}

look() {
    name=$1
    shift
    "$@" >"$out/$name.json" 2>"$out/$name.err"
    echo $? >"$out/$name.status"
}

# Who fills the tables, by each reader and by the fastest that is there; one that is not says why.
readers() {
    for reader in auto netlink proc; do
        look "$1-$reader" plimsoll flows --all-netns --by netns,proto,state,class,src,dport --json --reader $reader
    done
    undisturbed "$1-bpf" plimsoll flows --all-netns --by netns,proto,state,class,src,dport --json --reader bpf
}

# A look with the world before and after it.
undisturbed() {
    world "before/$1"
    look "$@"
    world "after/$1"
}

echo "@@ absent $(uname -r) $(cut -d. -f1 /proc/uptime)"
undisturbed absent $check
undisturbed absent-nobody $nobody

echo "@@ loaded $(cut -d. -f1 /proc/uptime)"
modprobe nf_conntrack
undisturbed loaded $check
undisturbed loaded-nobody $nobody
# Had the look begun the tracking, these would be entries.
nc -w 1 127.0.0.1 9999 </dev/null 2>/dev/null
count >$out/loaded.count

echo "@@ full $(cut -d. -f1 /proc/uptime)"
echo 256 >/sys/module/nf_conntrack/parameters/hashsize
echo 100 >/proc/sys/net/netfilter/nf_conntrack_max
firewall >$out/full.backend
neighbour
visitors 100 10.9.0.1 "$there"
flood 10.9.0.1 "$there" &
usleep 500000
look full $check
look full-nobody $nobody
look full-text plimsoll check --commands --width 100 --utc
look full-nagios plimsoll check --nagios
rm /tmp/flooding
wait $!
undisturbed quiet $check
modprobe nf_conntrack_netlink
undisturbed netlink $check
cat /proc/net/nf_conntrack >$out/listing
readers flows

echo "@@ files $(cut -d. -f1 /proc/uptime)"
mkdir -p /etc/sysctl.d
echo 'net.netfilter.nf_conntrack_max = 262144
net.ipv4.netfilter.ip_conntrack_max = 655360
net.netfilter.nf_conntrack_count = 5' >/etc/sysctl.d/90-conntrack.conf
look files $check
rm /etc/sysctl.d/90-conntrack.conf

mkdir -p $out/tree
cat /proc/net/stat/nf_conntrack >$out/tree/statistics
ls /proc/sys/net/netfilter | grep -E '^nf_(conntrack|flowtable)' >$out/tree/keys
dmesg | grep 'table full' >$out/tree/log

# The commands of a remedy, as a person would take them from the screen.
echo "@@ cure $(cut -d. -f1 /proc/uptime)"
if [ "$(cat $out/full.backend)" = nft ]; then tool=nft; else tool=iptables-legacy; fi
grep -i "^$tool .*8080" $out/full-text.json >$out/bypass.commands
sh -e $out/bypass.commands 2>$out/bypass.err
flood 10.9.0.1 "$there" &
usleep 500000
look bypassed $check
rm /tmp/flooding
wait $!
iptables-legacy -F
iptables-legacy -t raw -F
iptables-legacy -t raw -X
[ $tool = iptables-legacy ] || nft flush ruleset
firewall >/dev/null
grep '^sysctl -w' $out/full-text.json >$out/raise.commands
sh -e $out/raise.commands 2>$out/raise.err
look raised $check
# No limit, where the kernel knows that.
echo 0 2>/dev/null >/proc/sys/net/netfilter/nf_conntrack_max || echo refused >$out/zero.refused
cat /proc/sys/net/netfilter/nf_conntrack_max >$out/zero.max
look zero $check
echo 100 >/proc/sys/net/netfilter/nf_conntrack_max

echo "@@ container $(cut -d. -f1 /proc/uptime)"
leave
ip link del to-client
ip netns del client
conntrack -F 2>/dev/null
ip netns add web
# The kernel writes ten of its lines in five seconds; those of the host may have been more.
usleep 5500000
ip netns exec web $0 inside &
tries=0
while [ ! -e /tmp/inside ] && [ $tries -lt 200 ]; do
    usleep 50000
    tries=$((tries + 1))
done
usleep 300000
look container $check
stat -c %i /run/netns/web >$out/container.inode
rm /tmp/flooding
wait $!
readers flows-web
dmesg | grep 'table full' | tail -1 >$out/tree/log.container

# Tables of old iptables that come with a remedy, and go with `undo`: there is no other way to be rid of them than
# their module.
echo "@@ tables $(cut -d. -f1 /proc/uptime)"
leave
ip netns del web
tables() {
    iptables-legacy-save | grep -v '^#' | sed 's/ \[.*//'
    ip6tables-legacy-save | grep -v '^#' | sed 's/ \[.*//'
    cut -d' ' -f1 /proc/modules | grep '^ip6*table_' | sort
}
iptables-legacy -F
modprobe -r -a iptable_raw ip6table_raw
firewall >/dev/null
ip6tables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
bypass() { plimsoll fix bypass tcp/8080 --role server --yes --watch 0; }
tables >$out/tables.old
look tables-done bypass
tables >$out/tables.new
look tables-undone plimsoll undo
tables >$out/tables.again
# Killed at each of its steps, and the next call does the rest; IPv4 alone, since it is quicker.
lifeline() { plimsoll fix lifeline --peer 10.9.0.2 --port 8080 --yes --watch 0; }
journals=/var/lib/plimsoll
step=0
while [ $step -lt 60 ]; do
    step=$((step + 1))
    rm -rf $journals
    lifeline >/dev/null 2>&1
    tables | cmp -s - $out/tables.old && echo "$step none none"
    PLIMSOLL_FAULT=$step plimsoll undo >/dev/null 2>&1 && killed=whole || killed=killed
    plimsoll confirm >/dev/null 2>&1
    plimsoll undo >/dev/null 2>&1
    tables | cmp -s - $out/tables.old && now=old || now=other
    echo "$step $killed $now"
    [ $killed = killed ] || break
done >$out/tables.killed
# Somebody else has it by then, with a rule that would be lost.
lifeline >/dev/null 2>&1
ip netns add other
ip netns exec other iptables-legacy -t raw -A PREROUTING -p udp -j ACCEPT
look tables-shared plimsoll undo
ip netns exec other iptables-legacy-save >$out/tables.other
ip netns del other
# Its module was loaded before. (5.10 makes the table with it, the others when it is named.)
modprobe -r iptable_raw
modprobe iptable_raw
iptables-legacy-save >$out/tables.loaded
lifeline >/dev/null 2>&1
look tables-kept plimsoll undo
modprobe -r iptable_raw
# Without modprobe.
lifeline >/dev/null 2>&1
mv /sbin/modprobe /sbin/modprobe.away
look tables-stuck plimsoll undo
mv /sbin/modprobe.away /sbin/modprobe
modprobe -r -a iptable_raw ip6table_raw

echo "@@ unload $(cut -d. -f1 /proc/uptime)"
iptables-legacy -F 2>/dev/null
ip6tables-legacy -F
grep -q '^nf_tables ' /proc/modules && nft flush ruleset
usleep 500000
# With a rule by state it is refused; without one it is done, and taken back with all values.
firewall >/dev/null
look unload-refused plimsoll fix unload --yes --watch 0
iptables-legacy -F 2>/dev/null
grep -q '^nf_tables ' /proc/modules && nft flush ruleset
values() { cd /proc/sys/net/netfilter && grep -s . nf_conntrack_max nf_conntrack_buckets nf_conntrack_tcp_timeout_*; cd / || exit; }
echo 7300 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established
echo 2048 >/sys/module/nf_conntrack/parameters/hashsize
echo 5000 >/proc/sys/net/netfilter/nf_conntrack_max
mkdir -p /etc/sysconfig
cat >/etc/sysconfig/iptables-config <<'EOF'
# Load additional iptables modules (nat helpers)
IPTABLES_MODULES="ip_conntrack_netbios_ns ipt_recent"

IPTABLES_MODULES_UNLOAD="no"
IPTABLES_SAVE_ON_STOP="no"
EOF
values >$out/unload.values
look unload-done plimsoll fix unload --yes --watch 1
ls /proc/net/nf_conntrack >$out/unload.list 2>/dev/null
grep conntrack /proc/modules >$out/unload.left
look unload-undone plimsoll undo
values >$out/unload.again
# Killed at each of its steps: with its guard, so that the next call (it finds nothing to confirm) does the rest; without
# it, so that the guard does; and the guard too, at each step of taking back. Then `undo`, killed at each of its own. In the
# end the old or the new state must stand, and after `undo` the old one.
state() { values; cut -d' ' -f1 /proc/modules | grep conntrack | sort; cat /etc/sysconfig/iptables-config; }
state >/tmp/old
stands() {
    state >/tmp/now
    if cmp -s /tmp/now /tmp/old; then echo old; elif cmp -s /tmp/now /tmp/new; then echo new; else echo between; fi
}
unload() { plimsoll fix unload --yes --watch 0; }
# Whoever is left of the program is the guard. It removes its post when its work is done.
guard_gone() { while pidof plimsoll >/dev/null; do usleep 20000; done; }
back() { [ $1 = old ] || plimsoll undo >/dev/null 2>&1; }
unload >/dev/null 2>&1
state >/tmp/new
plimsoll undo >/dev/null 2>&1
# $1: what the killed one leaves behind, "guard" or nobody.
killed_fix() {
    step=0
    while [ $step -lt 60 ]; do
        step=$((step + 1))
        rm -rf $journals
        fault=$step
        [ "$1" ] || fault=$step:guard
        PLIMSOLL_FAULT=$fault unload >/dev/null 2>&1 && echo "fix$1 $step whole $(stands)" && break
        guard_gone
        [ "$1" ] || plimsoll confirm >/dev/null 2>&1
        next=$(stands)
        [ $next = old ] && last=$step
        back $next
        echo "fix$1 $step $next $(stands)"
    done
    back $(stands)
}
# The remedy killed when all of it is there but the last word.
killed_guard() {
    step=0
    while [ $step -lt 60 ]; do
        step=$((step + 1))
        rm -rf $journals
        PLIMSOLL_FAULT=$last PLIMSOLL_GUARD_FAULT=$step unload >/dev/null 2>&1
        guard_gone
        ls $journals/*.guard >/dev/null 2>&1 || { echo "guard $step whole $(stands)" && break; }
        then=$(stands)
        plimsoll confirm >/dev/null 2>&1
        echo "guard $step $then $(stands)"
    done
}
killed_fix >$out/unload.killed
# An emulated minute and a half: in one of the older and one of the newer.
case $(uname -r) in 6.1.* | 6.18.*)
    killed_fix guard >>$out/unload.killed
    killed_guard >>$out/unload.killed
    ;;
esac
unload >/dev/null 2>&1
step=0
while [ $step -lt 60 ]; do
    step=$((step + 1))
    cmp -s /tmp/now /tmp/new || unload >/dev/null 2>&1
    PLIMSOLL_FAULT=$step plimsoll undo >/dev/null 2>&1 && echo "undo $step whole $(stands)" && break
    plimsoll confirm >/dev/null 2>&1
    next=$(stands)
    echo "undo $step $next $next"
done >>$out/unload.killed
diff /tmp/old /tmp/new >$out/unload.differs
cat /proc/modules >$out/unload.before
modprobe -r -a iptable_filter ip6table_filter xt_CT xt_conntrack nft_ct nf_conntrack_netlink nf_conntrack 2>$out/unload.err
grep conntrack /proc/modules >$out/unload.after

# A look that is not careful does load: were this not so, the comparisons would prove nothing.
conntrack -C >/dev/null 2>&1
nft list ruleset >/dev/null 2>&1
cut -d' ' -f1 /proc/modules >$out/careless.modules

# This kernel beside the model: in frames with tags, since the kernel that tests run on may have no VLANs.
echo "@@ vlan $(cut -d. -f1 /proc/uptime)"
for module in veth 8021q af_packet nf_conntrack_ftp nf_conntrack_pptp nft_ct nft_counter; do
    modprobe $module 2>/dev/null
done
# Once more where they differ: on 5.10 packets have been seen to wait for a processor that was kept busy.
/plimsoll-fidelity vlan 30 1 >$out/vlan 2>&1 || /plimsoll-fidelity vlan 30 1 >$out/vlan 2>&1
echo "status $?" >>$out/vlan

dmesg >$out/dmesg
echo "@@ END $(cut -d. -f1 /proc/uptime)"
stty -F /dev/ttyS1 raw
tar -C $out -cz . >/dev/ttyS1
poweroff -f
