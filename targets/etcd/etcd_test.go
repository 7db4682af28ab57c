package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

func TestTheCommandLineNamesAllMembers(t *testing.T) {
	g := NewWithT(t)
	cfg := cluster.NodeConfig{
		Name: "n2", Address: "10.1.0.3", Names: []string{"n1", "n2"},
		Peers: map[string]string{"n1": "10.1.0.2", "n2": "10.1.0.3"}, DataDir: "/data", Run: "r",
	}
	cmd, err := New().Command(cfg)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Args).To(ContainElement("n1=http://10.1.0.2:2380,n2=http://10.1.0.3:2380"))
	g.Expect(cmd.Ports).To(HaveKeyWithValue("client", 2379))

	delete(cfg.Peers, "n1")
	_, err = New().Command(cfg)
	g.Expect(err).To(MatchError(ContainSubstring("the address of member n1 is not known")))
}

func TestAProbeReadsRoleTermAndHashFromAMembersAPI(t *testing.T) {
	g := NewWithT(t)
	for leader, role := range map[string]string{"5": "leader", "7": "follower", "": "candidate"} {
		server := member(leader)
		st, err := New().Probe(context.Background(), cluster.NodeConfig{Name: "n1"}, dialTo(server))
		server.Close()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(st.Role).To(Equal(role))
		g.Expect(st.Ready).To(Equal(leader != ""))
		g.Expect(st.Term).To(Equal(uint64(3)))
		g.Expect(st.Applied).To(Equal(uint64(42)))
		g.Expect(st.StateHash).To(Equal("0000004d@0"))
	}
}

func TestAProbeOfSomethingElseIsAnError(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := New().Probe(context.Background(), cluster.NodeConfig{}, dialTo(server))
	g.Expect(err).To(MatchError(ContainSubstring("404")))
}

func TestOnlyARequestThatNeverLeftHasCertainlyFailed(t *testing.T) {
	g := NewWithT(t)
	dialing := status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.1:2379: connect: connection refused"`)
	g.Expect(notSent(dialing)).To(BeTrue())
	for _, err := range []error{
		status.Error(codes.Unavailable, "etcdserver: leader changed"),
		status.Error(codes.Unavailable, "error reading from server: EOF"),
		status.Error(codes.Unavailable, "etcdserver: request timed out"),
		context.DeadlineExceeded,
		errors.New("anything else"),
	} {
		g.Expect(notSent(err)).To(BeFalse(), err.Error())
	}
}

func TestValuesSurviveTheWayThereAndBack(t *testing.T) {
	g := NewWithT(t)
	v, err := decode([]byte(encode(history.Int(-17))))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(v).To(Equal(history.Int(-17)))
	_, err = decode([]byte("rubbish"))
	g.Expect(err).To(MatchError(ContainSubstring("which no client of this run wrote")))
}

func member(leader string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{"hash": 77}
		if r.URL.Path == "/v3/maintenance/status" {
			answer = map[string]any{"header": map[string]string{"member_id": "5"}, "raftTerm": "3", "raftAppliedIndex": "42"}
			if leader != "" {
				answer["leader"] = leader
			}
		}
		_ = json.NewEncoder(w).Encode(answer) // the test fails on the other side
	}))
}

func dialTo(s *httptest.Server) cluster.Dialer {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
}
