package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Marks of packets. No rule matches those that the agent itself injects
// (duplicates); those that a rule has doomed pass all other rules, which count
// them, and are dropped behind the last.
const (
	packetMark = 0x636c6e63
	doomMark   = 0x636c6e64
)

// queueNumber is the NFQUEUE that delayed packets pass. Queues belong to the
// network namespace, which is the container's own.
const queueNumber = 0

// firewall keeps the agent's nftables rules in a table of its own.
//
// Per direction there are three chains, one after the other: "loss", where each
// rule counts and marks what it drops, "delay", which sends packets to the
// queue, and "drop", where those with a mark end. So no rule hides a packet
// from another one. The chains come before everything else that the container
// may have. Packets are dropped where they arrive or, on their way to the
// clients, where they leave; a drop at the sender would tell its TCP about it.
//
// A rule in the kernel is found by its user data: a letter (s: seen, d:
// doomed, q: queue) and the id, or for the queue the peer.
type firewall struct {
	port   int
	table  *nftables.Table
	chains map[string]*nftables.Chain
	queues map[string]int // direction and peer → rules that need them queued
}

func newFirewall(port int) *firewall {
	return &firewall{port: port, queues: map[string]int{}}
}

// setUp makes table and chains in conn's batch, once.
func (f *firewall) setUp(conn *nftables.Conn) error {
	if f.table != nil {
		return nil
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "cleancut"})
	chains := map[string]*nftables.Chain{}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	for _, dir := range []Direction{In, Out} {
		hook, device, portOffset := nftables.ChainHookPrerouting, expr.MetaKeyIIFNAME, uint32(2)
		if dir == Out {
			hook, device, portOffset = nftables.ChainHookOutput, expr.MetaKeyOIFNAME, 0
		}
		for i, kind := range []string{"loss", "delay", "drop"} {
			c := conn.AddChain(&nftables.Chain{
				Name: kind + "_" + string(dir), Table: table, Type: nftables.ChainTypeFilter,
				Hooknum: hook, Priority: nftables.ChainPriorityRef(nftables.ChainPriority(-300 + i)),
			})
			chains[c.Name] = c
			for _, match := range [][]expr.Any{
				{&expr.Meta{Key: device, Register: 1}, &expr.Cmp{Register: 1, Data: []byte("lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}},
				{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, &expr.Cmp{Register: 1, Data: binaryutil.NativeEndian.PutUint32(packetMark)}},
				{
					&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
					&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
					&expr.Cmp{Register: 1, Data: binary.BigEndian.AppendUint16(nil, uint16(f.port))},
				},
			} {
				conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: append(match, accept)})
			}
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chains["drop_"+string(dir)], Exprs: dropDoomed()})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: making the table: %w", explain(err))
	}
	f.table, f.chains = table, chains
	return nil
}

// add adds rules in one transaction.
func (f *firewall) add(list []Rule) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	if err := f.setUp(conn); err != nil {
		return err
	}
	queues := map[string]int{}
	for _, r := range list {
		loss := f.chains["loss_"+string(r.Direction)]
		f.addRule(conn, loss, "s"+r.ID, r, &expr.Counter{})
		if r.Loss > 0 {
			f.addRule(conn, loss, "d"+r.ID, r, lossExprs(r.Loss)...)
		}
		if !r.queued() {
			continue
		}
		key := string(r.Direction) + r.Peer
		if f.queues[key]+queues[key] == 0 {
			f.addRule(conn, f.chains["delay_"+string(r.Direction)], "q"+r.Peer, r, queueExpr())
		}
		queues[key]++
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", explain(err))
	}
	for key, n := range queues {
		f.queues[key] += n
	}
	return nil
}

func (f *firewall) addRule(conn *nftables.Conn, c *nftables.Chain, data string, r Rule, exprs ...expr.Any) {
	conn.AddRule(&nftables.Rule{Table: f.table, Chain: c, UserData: []byte(data), Exprs: append(matchPeer(r), exprs...)})
}

// matchPeer matches the address of the rule's other end.
func matchPeer(r Rule) []expr.Any {
	offset := uint32(12) // source address
	if r.Direction == Out {
		offset = 16 // destination address
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Cmp{Register: 1, Data: netip.MustParseAddr(r.Peer).AsSlice()},
	}
}

// lossExprs dooms packets with a probability in millionths, and counts them.
func lossExprs(loss int) []expr.Any {
	doom := []expr.Any{
		&expr.Counter{},
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(doomMark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
	if loss >= million {
		return doom
	}
	return append([]expr.Any{
		&expr.Numgen{Register: 1, Modulus: million, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binary.BigEndian.AppendUint32(nil, uint32(loss))},
	}, doom...)
}

// dropDoomed drops what a rule has doomed.
func dropDoomed() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Register: 1, Data: binaryutil.NativeEndian.PutUint32(doomMark)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// queueExpr sends packets to the queue by the xtables target: some kernels
// lack nftables' own expression. Its info is queue, number of queues, flags;
// without flags, packets are dropped when nobody listens.
func queueExpr() expr.Any {
	info := make(xt.Unknown, 0, 8)
	for _, v := range []uint16{queueNumber, 1, 0, 0} {
		info = binary.NativeEndian.AppendUint16(info, v)
	}
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// remove deletes rules in one transaction.
func (f *firewall) remove(list []Rule) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	doomed := map[string]bool{} // chain and user data
	queues := map[string]int{}
	for _, r := range list {
		doomed["loss_"+string(r.Direction)+" s"+r.ID] = true
		doomed["loss_"+string(r.Direction)+" d"+r.ID] = true
		if r.queued() {
			key := string(r.Direction) + r.Peer
			queues[key]++
			if queues[key] == f.queues[key] {
				doomed["delay_"+string(r.Direction)+" q"+r.Peer] = true
			}
		}
	}
	for name, c := range f.chains {
		have, err := conn.GetRules(f.table, c)
		if err != nil {
			return fmt.Errorf("nftables: reading %s: %w", name, err)
		}
		for _, k := range have {
			if !doomed[name+" "+string(k.UserData)] {
				continue
			}
			if err := conn.DelRule(k); err != nil {
				return fmt.Errorf("nftables: %w", err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", explain(err))
	}
	for key, n := range queues {
		if f.queues[key] -= n; f.queues[key] <= 0 {
			delete(f.queues, key)
		}
	}
	return nil
}

// counts reads what the kernel counted, by rule id.
func (f *firewall) counts() (map[string]Counts, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	out := map[string]Counts{}
	for name, chain := range f.chains {
		if !strings.HasPrefix(name, "loss_") {
			continue
		}
		have, err := conn.GetRules(f.table, chain)
		if err != nil {
			return nil, fmt.Errorf("nftables: reading %s: %w", name, err)
		}
		for _, k := range have {
			if len(k.UserData) < 2 {
				continue
			}
			id := string(k.UserData[1:])
			for _, e := range k.Exprs {
				n, ok := e.(*expr.Counter)
				switch {
				case ok && k.UserData[0] == 's':
					out[id] = out[id].Add(Counts{Seen: int64(n.Packets)})
				case ok && k.UserData[0] == 'd':
					out[id] = out[id].Add(Counts{Dropped: int64(n.Packets)})
				}
			}
		}
	}
	return out, nil
}

// tryRule says whether the kernel takes a rule of these expressions, in a
// chain that no packet passes.
func tryRule(exprs ...expr.Any) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "cleancut_probe"})
	chain := conn.AddChain(&nftables.Chain{Name: "probe", Table: table})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	err = explain(conn.Flush())
	conn.DelTable(table)
	// The transaction failed as a whole, so there may be no table to delete.
	if deleted := conn.Flush(); err == nil && deleted != nil {
		err = explain(deleted)
	}
	return err
}

// explain says what usually lies behind an error of the kernel.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the container lacks CAP_NET_ADMIN: %w", err)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the kernel lacks what the rule needs (nf_tables, nft_numgen or xt_NFQUEUE): %w", err)
	default:
		return err
	}
}
