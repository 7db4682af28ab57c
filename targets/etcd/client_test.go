package etcd

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/workloads"
)

// kv is a member that finds no key and counts its connections.
type kv struct {
	etcdserverpb.UnimplementedKVServer
	net.Listener
	server   *grpc.Server
	accepted atomic.Int32
}

func (m *kv) Range(context.Context, *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return &etcdserverpb.RangeResponse{}, nil
}

func (m *kv) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	if err == nil {
		m.accepted.Add(1)
	}
	return conn, err
}

// members is the network of a client, with members that serve.
type members struct {
	cluster.Network
	names []string
	kvs   map[string]*kv
	rand  *rand.Rand
}

func newMembers(t *testing.T, names ...string) *members {
	m := &members{names: names, kvs: map[string]*kv{}, rand: rng.Stream(1, t.Name())}
	for _, n := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		member := &kv{Listener: l, server: grpc.NewServer()}
		etcdserverpb.RegisterKVServer(member.server, member)
		go func() { _ = member.server.Serve(member) }() // ends with Stop
		t.Cleanup(member.server.Stop)
		m.kvs[n] = member
	}
	return m
}

func (m *members) Nodes() []string  { return m.names }
func (m *members) Intn(max int) int { return m.rand.IntN(max) }
func (m *members) Address(name, _ string) (string, error) {
	return m.kvs[name].Addr().String(), nil
}

func TestAClientAsksAllMembersOverOneConnectionEach(t *testing.T) {
	g := NewWithT(t)
	net := newMembers(t, "n1", "n2", "n3")
	c, err := New().Connect(net, "")
	g.Expect(err).NotTo(HaveOccurred())
	asked := map[string]int{}
	for range 60 {
		done := c.Invoke(context.Background(), cluster.Op{F: workloads.Read, Key: "k"}, 5*time.Second)
		g.Expect(done.Outcome).To(Equal(history.OK), done.Error)
		asked[done.Node]++
	}
	for _, n := range net.names {
		g.Expect(asked[n]).To(BeNumerically(">", 5), "%s of %v", n, asked)
		g.Expect(net.kvs[n].accepted.Load()).To(BeEquivalentTo(1), "connections to %s", n)
	}
	g.Expect(c.Close()).To(Succeed())
}

func TestAClientLeavesAMemberThatFailsItAndKeepsTheOtherConnections(t *testing.T) {
	g := NewWithT(t)
	net := newMembers(t, "n1", "n2")
	made, err := New().Connect(net, "")
	g.Expect(err).NotTo(HaveOccurred())
	c := made.(*client)
	defer c.Close()
	read := func() cluster.Completion {
		return c.Invoke(context.Background(), cluster.Op{F: workloads.Read, Key: "k"}, 500*time.Millisecond)
	}
	for len(c.conns) < 2 {
		g.Expect(read().Outcome).To(Equal(history.OK))
	}
	net.kvs["n1"].server.Stop()
	failed := read()
	for ; failed.Outcome == history.OK; failed = read() {
		g.Expect(failed.Node).To(Equal("n2"))
	}
	g.Expect(failed.Outcome).To(Equal(history.Fail), "a read has no effect")
	g.Expect(failed.Node).To(Equal("n1"))
	g.Expect(c.nodes[c.at]).To(Equal("n2"))
	g.Expect(c.conns).To(HaveLen(1))
	g.Expect(net.kvs["n2"].accepted.Load()).To(BeEquivalentTo(1))
}
