package docker

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cleancut/cleancut/harness/cluster"
)

// subnetAttempts bounds how often another subnet is tried because somebody
// else took the chosen one in the meantime.
const subnetAttempts = 64

// errNoSubnet means that the range for subnets is used up.
var errNoSubnet = fmt.Errorf("a free /24 subnet is %w", cluster.ErrUnavailable)

// lan is the network of a run.
type lan struct {
	network *testcontainers.DockerNetwork
	subnet  netip.Prefix
	gateway netip.Addr // the host's end, from which clients come
}

// node returns the address of the i-th node.
func (l lan) node(i int) netip.Addr {
	a := l.subnet.Addr().As4()
	a[3] = byte(10 + i)
	return netip.AddrFrom4(a)
}

// createNetwork makes the network of a run on a free subnet of the pools. The
// first candidate depends on the run's id, so that runs that start at the
// same time seldom meet; if they do, the daemon lets one of them win.
func (d *daemon) createNetwork(ctx context.Context, pools []netip.Prefix, run string, labels map[string]string) (lan, error) {
	taken, err := d.takenSubnets(ctx)
	if err != nil {
		return lan{}, err
	}
	for range subnetAttempts {
		subnet, err := freeSubnet(pools, taken, run)
		if err != nil {
			return lan{}, err
		}
		l := lan{subnet: subnet, gateway: subnet.Addr().Next()}
		l.network, err = tcnetwork.New(ctx, tcnetwork.WithLabels(labels), tcnetwork.WithIPAM(&network.IPAM{
			Driver: "default",
			Config: []network.IPAMConfig{{Subnet: subnet, Gateway: l.gateway}},
		}))
		switch {
		case err == nil:
			return l, nil
		case !strings.Contains(strings.ToLower(err.Error()), "overlap"):
			return lan{}, fmt.Errorf("docker: creating the network %v: %w", subnet, err)
		}
		taken = append(taken, subnet)
	}
	return lan{}, fmt.Errorf("docker: %w in %v after %d attempts: others took each before us; try again", errNoSubnet, pools, subnetAttempts)
}

// takenSubnets lists what Docker's networks and the host's routes cover.
func (d *daemon) takenSubnets(ctx context.Context) ([]netip.Prefix, error) {
	var taken []netip.Prefix
	list, err := d.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, fmt.Errorf("docker: listing networks: %w", err)
	}
	for _, n := range list.Items {
		for _, c := range n.IPAM.Config {
			if c.Subnet.IsValid() {
				taken = append(taken, c.Subnet)
			}
		}
	}
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("docker: reading the host's routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		p, err := netip.ParsePrefix(r.Dst.String())
		if err == nil && p.Bits() > 0 { // the default route covers everything
			taken = append(taken, p)
		}
	}
	return taken, nil
}

// freeSubnet returns a /24 of the pools that overlaps with none that is taken.
func freeSubnet(pools, taken []netip.Prefix, run string) (netip.Prefix, error) {
	h := fnv.New32a()
	h.Write([]byte(run)) // never fails, by its contract
	for _, pool := range pools {
		base := pool.Masked().Addr().As4()
		start := uint32(base[0])<<16 | uint32(base[1])<<8 | uint32(base[2])
		count := uint32(1) << (24 - pool.Bits())
		first := h.Sum32() % count
		for i := range count {
			n := start + (first+i)%count
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n), 0}), 24)
			if !slices.ContainsFunc(taken, p.Overlaps) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("docker: %w in %v: remove networks that are not needed (cleancut gc, docker network prune), or use --runtime sim", errNoSubnet, pools)
}
