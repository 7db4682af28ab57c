package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/workloads"
)

// roam is how many operations a client sends to a member, on average, before
// it draws a member anew.
const roam = 4

// Connect implements cluster.Target. A client talks to one member at a time,
// drawn from its random stream. It moves on to another when that one fails it,
// and now and then for no reason: any member must serve, and what one client
// sees on two members must fit together.
func (Target) Connect(net cluster.Network, bug string) (cluster.Client, error) {
	if bug != "" {
		return nil, fmt.Errorf("etcd has no planted bugs, so there is no %q", bug)
	}
	nodes := net.Nodes()
	return &client{net: net, nodes: nodes, at: net.Intn(len(nodes)), conns: map[string]*clientv3.Client{}}, nil
}

type client struct {
	net   cluster.Network
	nodes []string
	at    int                         // index of the member that is asked
	conns map[string]*clientv3.Client // by member, each with that endpoint only
}

// Close implements cluster.Client.
func (c *client) Close() error {
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	clear(c.conns)
	return errors.Join(errs...)
}

// Invoke implements cluster.Client. It asks once: trying again would need to
// know what became of the first attempt.
func (c *client) Invoke(ctx context.Context, op cluster.Op, timeout time.Duration) cluster.Completion {
	if c.net.Intn(roam) == 0 {
		c.at = c.net.Intn(len(c.nodes))
	}
	member := c.nodes[c.at]
	done := cluster.Completion{Node: member, Value: op.Value}
	conn, err := c.connect(member)
	if err != nil {
		done.Outcome, done.Error = history.Fail, err.Error()
		c.move()
		return done
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, applied, err := execute(ctx, conn, op)
	switch {
	case err == nil && applied:
		done.Outcome, done.Value = history.OK, value
	case err == nil:
		done.Outcome, done.Error = history.Fail, history.Mismatch
	case op.F == workloads.Read || notSent(err):
		done.Outcome, done.Error = history.Fail, err.Error()
	default:
		done.Outcome, done.Error = history.Info, err.Error()
	}
	if err != nil {
		c.move()
	}
	return done
}

// connect returns the connection to a member.
func (c *client) connect(member string) (*clientv3.Client, error) {
	if conn := c.conns[member]; conn != nil {
		return conn, nil
	}
	address, err := c.net.Address(member, "client")
	if err != nil {
		return nil, err
	}
	conn, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err == nil {
		c.conns[member] = conn
	}
	return conn, err
}

// move gives up the connection to the member and goes on to the next one.
func (c *client) move() {
	member := c.nodes[c.at]
	if conn := c.conns[member]; conn != nil {
		_ = conn.Close() // nothing is outstanding on it
		delete(c.conns, member)
	}
	c.at = (c.at + 1) % len(c.nodes)
}

// execute carries out an operation. A cas that found another value is not
// applied and no error.
func execute(ctx context.Context, conn *clientv3.Client, op cluster.Op) (value history.Value, applied bool, err error) {
	switch op.F {
	case workloads.Read:
		r, err := conn.Get(ctx, op.Key)
		if err != nil || len(r.Kvs) == 0 {
			return history.Nil, true, err
		}
		value, err = decode(r.Kvs[0].Value)
		return value, true, err
	case workloads.Write:
		_, err := conn.Put(ctx, op.Key, encode(op.Value))
		return op.Value, true, err
	case workloads.Delete:
		_, err := conn.Delete(ctx, op.Key)
		return op.Value, true, err
	case workloads.CAS:
		pair, _ := op.Value.AsList()
		if len(pair) != 2 {
			return value, false, fmt.Errorf("cas of %v: expected a list of two values", op.Value)
		}
		condition := clientv3.Compare(clientv3.Value(op.Key), "=", encode(pair[0]))
		if pair[0].IsNil() {
			condition = clientv3.Compare(clientv3.CreateRevision(op.Key), "=", 0)
		}
		r, err := conn.Txn(ctx).If(condition).Then(clientv3.OpPut(op.Key, encode(pair[1]))).Commit()
		return op.Value, err == nil && r.Succeeded, err
	}
	return value, false, fmt.Errorf("etcd: clients do not know the operation %q", op.F)
}

func encode(v history.Value) string {
	if n, ok := v.AsInt(); ok {
		return strconv.FormatInt(n, 10)
	}
	return v.String()
}

func decode(b []byte) (history.Value, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return history.Nil, fmt.Errorf("etcd returned the value %.40q, which no client of this run wrote", b)
	}
	return history.Int(n), nil
}

// notSent tells whether a request certainly never left: gRPC found no
// connection on which to send it. Everything else is in doubt, "leader
// changed" and "request timed out" in particular.
func notSent(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	s, ok := status.FromError(err)
	return ok && s.Code() == codes.Unavailable && strings.Contains(s.Message(), "Error while dialing")
}
