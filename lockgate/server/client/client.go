// Package client is a core's side of a gate's API, over HTTP/3 or HTTP/2.
//
// What it promises: every request is signed for the very connection that it goes
// over, so a connection that ends in somebody else's hands yields nothing that
// can be used elsewhere. A refusal with status 403 is a *core.Denied; everything
// else means that the answer is not known. A broken connection is made anew for
// the next request.
//
// What it believes: nothing of the gate's certificate, and of its answers
// nothing before their signatures: challenges are verified by the prover, leases
// by keys.Open.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Config of a client.
type Config struct {
	Key   *identity.Private // the core's; needed
	Claim earth.LatLon      // where the core says it is; chooses the beacons
	// Address is the gate's host:port; needed.
	Address string
	// Conn carries HTTP/3; nil means HTTP/2 over TCP. It is not closed.
	Conn net.PacketConn
	// Resolve turns the address into one that Conn can write to; nil means
	// net.ResolveUDPAddr.
	Resolve func(ctx context.Context, address string) (net.Addr, error)
	// Timeout of one request; 0 means 15 s.
	Timeout time.Duration
}

// Refusals and failures.
var (
	ErrConfig   = errors.New("client: the core's key, the gate's address and a valid claim must be set")
	ErrAnswer   = errors.New("client: the gate's answer is not one of the schema")
	ErrRefused  = errors.New("client: the gate did not take the request")
	ErrProtocol = errors.New("client: the other end does not speak HTTP/2 over TLS 1.3")
)

// Client talks to one gate. Its methods may be called at once.
type Client struct {
	cfg  Config
	quic *quic.Transport // nil with HTTP/2

	mu   sync.Mutex // guards link
	link *link
}

// link is one connection and the value that requests on it are signed over.
type link struct {
	round   http.RoundTripper
	binding [32]byte
	close   func()
}

var (
	_ core.Gate       = (*Client)(nil)
	_ core.StepKeeper = (*Client)(nil)
	_ core.Burner     = (*Client)(nil)
)

// New makes a client; it connects with the first request.
func New(cfg Config) (*Client, error) {
	if cfg.Key == nil || cfg.Address == "" || cfg.Claim.Validate() != nil {
		return nil, ErrConfig
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(_ context.Context, address string) (net.Addr, error) { return net.ResolveUDPAddr("udp", address) }
	}
	c := &Client{cfg: cfg}
	if cfg.Conn != nil {
		c.quic = &quic.Transport{Conn: cfg.Conn}
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.drop(nil)
	if c.quic != nil {
		return c.quic.Close()
	}
	return nil
}

// Challenge asks for a challenge; see core.Gate.
func (c *Client) Challenge(ctx context.Context, q core.Question) ([]byte, error) {
	return c.post(ctx, api.PathChallenge, func(binding [32]byte) ([]byte, error) {
		return api.Seal(c.cfg.Key, api.TypeQuestion, api.Question{Version: api.Version, Core: c.cfg.Key.ID(),
			Claim: api.PlaceOf(c.cfg.Claim), LockNonce: q.LockNonce, LockSeq: q.LockSeq, Binding: binding})
	})
}

// Lease asks for a lease; see core.Gate.
func (c *Client) Lease(ctx context.Context, r core.Request) ([]byte, error) {
	return c.post(ctx, api.PathLease, func(binding [32]byte) ([]byte, error) {
		return api.Seal(c.cfg.Key, api.TypeRequest, api.LeaseRequest{Version: api.Version, Core: c.cfg.Key.ID(),
			RequestID: r.RequestID, LockNonce: r.LockNonce, LockSeq: r.LockSeq, Want: uint64(r.Want),
			Usage: api.UsageOf(r.Usage), Proof: r.Proof, Burn: r.Burn, Binding: binding})
	})
}

// StepKey asks for the key of a later step; see core.StepKeeper.
func (c *Client) StepKey(ctx context.Context, q core.StepQuestion) (lock.Key, error) {
	body, err := c.post(ctx, api.PathKey, func(binding [32]byte) ([]byte, error) {
		return api.Seal(c.cfg.Key, api.TypeStep, api.StepRequest{Version: api.Version, Core: c.cfg.Key.ID(),
			RequestID: q.RequestID, Step: q.Step, Usage: api.UsageOf(q.Usage), Binding: binding, Previous: q.Previous})
	})
	if err != nil {
		return lock.Key{}, err
	}
	a, err := api.DecodeStepAnswer(body)
	if err != nil || a.Step != q.Step {
		return lock.Key{}, ErrAnswer
	}
	return a.Key, nil
}

// Burn burns units; see core.Burner.
func (c *Client) Burn(ctx context.Context, id [16]byte, units lock.Units) error {
	body, err := c.post(ctx, api.PathBurn, func(binding [32]byte) ([]byte, error) {
		return api.Seal(c.cfg.Key, api.TypeBurn, api.BurnRequest{Version: api.Version, Core: c.cfg.Key.ID(), ID: id, Units: uint64(units), Binding: binding})
	})
	if err != nil {
		return err
	}
	if _, err := api.DecodeBurnReceipt(body); err != nil {
		return ErrAnswer
	}
	return nil
}

// Token asks for a token about the verdict behind the lease that a request was
// answered with: form is api.FormJWT or api.FormEAT.
func (c *Client) Token(ctx context.Context, request [16]byte, audience, nonce, form string) ([]byte, error) {
	body, err := c.post(ctx, api.PathToken, func(binding [32]byte) ([]byte, error) {
		return api.Seal(c.cfg.Key, api.TypeToken, api.TokenRequest{Version: api.Version, Core: c.cfg.Key.ID(), RequestID: request,
			Audience: audience, Nonce: nonce, Form: form, Binding: binding})
	})
	if err != nil {
		return nil, err
	}
	a, err := api.DecodeTokenAnswer(body)
	if err != nil {
		return nil, ErrAnswer
	}
	return a.Token, nil
}

// post signs a body for the present connection and sends it.
func (c *Client) post(ctx context.Context, path string, seal func(binding [32]byte) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	l, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	body, err := seal(l.binding)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "https", Host: c.cfg.Address, Path: path}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	req.Header.Set("Content-Type", api.MediaType)
	res, err := l.round.RoundTrip(req)
	if err != nil {
		c.drop(l)
		return nil, fmt.Errorf("client: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, api.MaxAnswer+1))
	if err != nil {
		c.drop(l)
		return nil, fmt.Errorf("client: %w", err)
	}
	return read(res.StatusCode, answer)
}

// read tells a definite no from everything else.
func read(status int, answer []byte) ([]byte, error) {
	if len(answer) > api.MaxAnswer {
		return nil, ErrAnswer
	}
	if status == http.StatusOK {
		return answer, nil
	}
	d, err := api.DecodeDenial(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: status %d", ErrAnswer, status)
	}
	if status == http.StatusForbidden {
		return nil, &core.Denied{RefusedBy: d.RefusedBy, Reason: d.Reason, Verdict: d.Verdict}
	}
	return nil, fmt.Errorf("%w: %s: %s (status %d)", ErrRefused, d.RefusedBy, d.Reason, status)
}

// connect gives the present connection, or makes one.
func (c *Client) connect(ctx context.Context) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return c.link, nil
	}
	var err error
	if c.quic != nil {
		c.link, err = c.dialQUIC(ctx)
	} else {
		c.link, err = c.dialTCP(ctx)
	}
	return c.link, err
}

// drop forgets a connection that failed; nil forgets any.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || l != nil && c.link != l {
		return
	}
	c.link.close()
	c.link = nil
}

func (c *Client) dialQUIC(ctx context.Context) (*link, error) {
	addr, err := c.cfg.Resolve(ctx, c.cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("client: no such gate %q: %w", c.cfg.Address, err)
	}
	t := channel.ClientTLS()
	t.NextProtos = []string{http3.NextProtoH3}
	q := channel.QUIC(-1, false)
	q.MaxIncomingUniStreams = 3
	q.MaxIdleTimeout = time.Minute
	conn, err := c.quic.Dial(ctx, addr, t, q)
	if err != nil {
		return nil, fmt.Errorf("client: cannot reach the gate at %s: %w", c.cfg.Address, err)
	}
	state := conn.ConnectionState().TLS
	binding, err := api.Binding(&state)
	if err != nil {
		_ = conn.CloseWithError(0, "")
		return nil, err
	}
	cc := (&http3.Transport{}).NewClientConn(conn)
	return &link{round: cc, binding: binding, close: func() { _ = conn.CloseWithError(0, "") }}, nil
}

func (c *Client) dialTCP(ctx context.Context) (*link, error) {
	t := channel.ClientTLS()
	t.NextProtos = []string{protocolH2}
	var state tls.ConnectionState
	tr := &http.Transport{Protocols: new(http.Protocols), DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := tls.Dialer{Config: t}
		conn, err := d.DialContext(ctx, network, addr)
		if err == nil {
			state = conn.(*tls.Conn).ConnectionState()
		}
		return conn, err
	}}
	tr.Protocols.SetHTTP2(true)
	conn, err := tr.NewClientConn(ctx, "https", c.cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("client: cannot reach the gate at %s: %w", c.cfg.Address, err)
	}
	binding, err := api.Binding(&state)
	if err == nil && state.NegotiatedProtocol != protocolH2 {
		err = ErrProtocol
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &link{round: conn, binding: binding, close: func() { _ = conn.Close() }}, nil
}

const protocolH2 = "h2"
