package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// gateOptions are the flags of `ursa gate serve`.
type gateOptions struct {
	keys                                  keyFlags
	log                                   logFlag
	home                                  gateHome
	directory, policy, revocations        string
	estimate, witnesses                   string
	listen, metrics                       string
	near, drawn                           int
	auditors                              []string
	noEvidence, trustProxy, noList        bool
	drain                                 time.Duration
	issuer, issuerListen, tlsCert, tlsKey string
	audiences                             []string
}

func gateServeCommand() *cobra.Command {
	var o gateOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve challenges and leases: HTTP/3 over UDP and HTTP/2 over TCP on one port",
		Long: "Serves the gate of a folder. A lease is sent when its ledger leaf is under a published checkpoint. Each decision on a proof is kept\n" +
			"as sealed evidence in DIR/evidence, for 'ursa verify'. SIGHUP reloads directory, policy and revocations; SIGTERM finishes what was\n" +
			"begun.\n\n" +
			"At start the store is checked and compared with the ledger: a store that is older halts the gate, and so does a list of\n" +
			"revocations or a policy that is older than what the ledger has seen. Without a list of revocations in force nothing is granted.\n\n" +
			"With --store several gates with copies of one folder serve one PostgreSQL database. With --issuer and --audience an inside verdict\n" +
			"is handed on as a token (JWT or EAT) that others verify by OpenID discovery.",
		Example: "  ursa gate serve --dir gate --directory directory.ursa --listen :8443 --passphrase-file pass\n" +
			"  ursa gate serve --dir gate --directory directory.ursa --store postgres://gate@db.example.net/ursa --passphrase-file pass\n" +
			"  ursa gate serve --dir gate --directory directory.ursa --issuer https://gate.example.net --audience vault \\\n" +
			"      --issuer-listen :443 --tls-cert cert.pem --tls-key key.pem --passphrase-file pass",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveGate(cmd, o)
		},
	}
	o.keys.register(cmd)
	o.log.register(cmd)
	o.home.registerStore(cmd)
	f := cmd.Flags()
	f.StringVar(&o.directory, "directory", "", "`FILE` of the signed directory")
	f.StringVar(&o.policy, "policy", "", "`FILE` of the signed policy; default: the folder's, of 'gate policy set'")
	f.StringVar(&o.revocations, "revocations", "", "`FILE` of the signed list of revocations; default: the folder's, of 'gate revoke'")
	f.BoolVar(&o.noList, "without-revocations", false, "grant even when there is no list of revocations, or it has expired while the gate serves")
	f.StringVar(&o.listen, "listen", ":8443", "`ADDRESS` to serve on, UDP and TCP")
	f.StringVar(&o.metrics, "metrics", gateMetrics, "TCP `ADDRESS` for Prometheus (/metrics) and /status; empty: none")
	f.IntVar(&o.near, "near", 8, "beacons near the claimed place that a challenge asks")
	f.IntVar(&o.drawn, "drawn", 4, "further beacons, drawn by the challenge's nonce")
	f.StringArrayVar(&o.auditors, "auditor", nil, "public `FILE` of an auditor (auditor.json): lock evidence so that only auditors can read it; repeat for each")
	f.BoolVar(&o.noEvidence, "no-evidence", false, "keep no evidence: nobody can then verify a decision again")
	f.BoolVar(&o.trustProxy, "behind-proxy", false, "no limits by address: all connections come from one proxy that passes TLS through")
	f.DurationVar(&o.drain, "drain", 10*time.Second, "how long requests in progress may go on after SIGTERM")
	f.StringVar(&o.witnesses, "witnesses", "", "`FILE` of those who must cosign the ledger's checkpoints before a lease is sent (lines: witness NAME VKEY URL, group, quorum)")
	f.StringVar(&o.estimate, "estimate", "", "`DIR` of what 'ursa calib run' measured, for a policy's veto on the estimate; empty: such a policy denies")
	f.StringVar(&o.issuer, "issuer", "", "`URL` under which tokens are issued, such as https://gate.example.net; empty: no tokens")
	f.StringArrayVar(&o.audiences, "audience", nil, "`NAME` that tokens may be made for; repeat for each")
	f.StringVar(&o.issuerListen, "issuer-listen", "", "TCP `ADDRESS` for relying parties: discovery document and keys; empty: on the gate's own port only")
	f.StringVar(&o.tlsCert, "tls-cert", "", "`FILE` of the certificate that relying parties know, PEM; empty: plain HTTP, for a proxy that has one")
	f.StringVar(&o.tlsKey, "tls-key", "", "`FILE` of the certificate's key, PEM")
	return cmd
}

// gateDaemon is a gate that serves.
type gateDaemon struct {
	o      gateOptions
	log    *slog.Logger
	key    *identity.Private
	trust  trustFile
	store  store.Store
	ledger *ledger.Log
	gate   *grant.Gate
	counts *server.Metrics
	began  time.Time

	serving chan struct{} // closed when there is something to reload

	authors  quorum.Authors
	tokens   *token.Issuer // nil: none are made
	auditors []identity.Public
	keeper   *keeper // of evidence; nil: none is kept

	mu        sync.Mutex
	signed    map[uint64][]byte // directories by epoch: the one in force and the one before
	dir, last uint64            // their epochs
	fallen    []string          // cores whose leases fell under the newest list of revocations, until somebody is told
	closers   []func()
}

func (g *gateDaemon) close() {
	for i := len(g.closers) - 1; i >= 0; i-- {
		g.closers[i]()
	}
}

// serveGate runs until the command's context ends.
func serveGate(cmd *cobra.Command, o gateOptions) error {
	if o.near < 0 || o.drawn < 0 || o.near+o.drawn < 1 || o.near+o.drawn > 64 {
		return usagef("--near %d --drawn %d: a challenge asks 1 to 64 beacons in all", o.near, o.drawn)
	}
	if (len(o.audiences) > 0 || o.issuerListen != "") && o.issuer == "" || o.issuer != "" && len(o.audiences) == 0 {
		return usagef("tokens need both an --issuer and at least one --audience")
	}
	if (o.tlsCert == "") != (o.tlsKey == "") || o.tlsCert != "" && o.issuerListen == "" {
		return usagef("--tls-cert, --tls-key and --issuer-listen belong together")
	}
	if o.policy == "" {
		o.policy = o.home.path(signedPolicyName)
	}
	if o.revocations == "" {
		o.revocations = o.home.path(gateRevokedName)
	}
	log, err := o.log.open(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	protect, err := o.keys.protector(cmd, false)
	if err != nil {
		return err
	}
	g := &gateDaemon{o: o, log: log, counts: server.NewMetrics(), began: time.Now(), signed: map[uint64][]byte{}, serving: make(chan struct{})}
	defer g.close()
	g.onHangup(cmd.Context())
	if err := g.open(cmd.Context(), protect); err != nil {
		return err
	}
	return g.serve(cmd.Context())
}

// onHangup reloads on SIGHUP, from the first moment on: before, the signal ends the process. What comes early waits.
func (g *gateDaemon) onHangup(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	stop := onHangup(func() {
		select {
		case <-ctx.Done():
			return
		case <-g.serving:
		}
		if err := g.reload(ctx); err != nil {
			g.log.Error("reload refused; what is in force stays", "error", err)
		}
	})
	g.closers = append(g.closers, func() { cancel(); stop() })
}

// remember keeps the signed bytes of the directory in force, and of the one before, for evidence.
func (g *gateDaemon) remember(d published) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.Epoch != g.dir {
		g.last, g.dir = g.dir, d.Epoch
	}
	g.signed[d.Epoch] = d.signed
	for epoch := range g.signed {
		if epoch != g.dir && epoch != g.last {
			delete(g.signed, epoch)
		}
	}
}

// serve opens the sockets and answers until the context ends.
func (g *gateDaemon) serve(ctx context.Context) error {
	cfg := server.Config{Gate: g.gate, Log: g.log, Metrics: g.counts, TrustProxy: g.o.trustProxy, Ledger: ledger.Handler(g.ledger.Dir()),
		Tokens: g.tokens}
	if !g.o.noEvidence {
		g.keeper = newKeeper(g.log, g.seal)
		cfg.Keep = g.keeper.keep
	}
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	udp, tcp, err := listenBoth(g.o.listen)
	if err != nil {
		return err
	}
	defer func() { _ = udp.Close() }()
	defer func() { _ = tcp.Close() }()
	stop, err := g.operators()
	if err != nil {
		return err
	}
	defer stop()
	unissue, err := g.showIssuer()
	if err != nil {
		return err
	}
	defer unissue()
	tidying, tidied := context.WithCancel(ctx)
	defer tidied()
	go g.tidy(tidying)
	failed := make(chan error, 2)
	go func() { failed <- s.ServeQUIC(udp) }()
	go func() { failed <- s.ServeTCP(tcp) }()
	g.log.Info("gate serves", "gate", g.key.ID().Short(), "address", udp.LocalAddr().String(), "epoch", g.gate.Directory().Epoch,
		"policy", g.gate.Policy().Name, "version", g.gate.Policy().Version, "scheme", g.gate.Policy().Scheme, "revocations", g.gate.Revocations().Epoch)
	running := 2
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	g.log.Info("gate ends", "gate", g.key.ID().Short())
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.drain)
	defer cancel()
	if late := s.Shutdown(grace); late != nil {
		_ = s.Close()
	}
	for ; running > 0; running-- {
		err = errors.Join(err, <-failed)
	}
	return err
}

// listenBoth opens UDP and TCP on the same port; with port 0 the system chooses it for UDP.
func listenBoth(address string) (*net.UDPConn, net.Listener, error) {
	udp, err := listenUDP("--listen", address)
	if err != nil {
		return nil, nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err == nil {
		address = net.JoinHostPort(host, fmt.Sprint(udp.LocalAddr().(*net.UDPAddr).Port))
	}
	tcp, err := listenTCP("--listen", address)
	if err != nil {
		_ = udp.Close()
		return nil, nil, err
	}
	return udp, tcp, nil
}

// operators opens what the defender reaches: the folder's socket, SIGHUP, and the metrics address. It is called once.
func (g *gateDaemon) operators() (stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	mux := statusHandler(func() any { return g.status() }).(*http.ServeMux)
	mux.HandleFunc("POST /order", g.order)
	end, err := control(g.o.home.dir, mux)
	if err != nil {
		return stop, err
	}
	stops = append(stops, end)
	close(g.serving)
	if g.o.metrics == "" {
		return stop, nil
	}
	l, err := listenTCP("--metrics", g.o.metrics)
	if err != nil {
		stop()
		return func() {}, err
	}
	open := statusHandler(func() any { return g.status() }).(*http.ServeMux)
	open.Handle("GET /metrics", g.counts.Handler())
	stops = append(stops, serveHTTP(l, open))
	return stop, nil
}

// order takes one order of the defender.
func (g *gateDaemon) order(w http.ResponseWriter, r *http.Request) {
	var o gateOrder
	d := json.NewDecoder(io.LimitReader(r.Body, maxSmallFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		http.Error(w, "not an order: "+oneLine(err.Error()), http.StatusBadRequest)
		return
	}
	var a gateAnswer
	var err error
	if o.Do == orderReload {
		err = g.reload(r.Context())
		a.Cores, a.Fallen = []coreAccount{}, g.takeFallen()
	} else {
		a, err = desk{store: g.store, revoked: g.gate.Revocations(), await: g.ledger.Await}.fulfil(r.Context(), o)
	}
	if err != nil {
		http.Error(w, oneLine(err.Error()), http.StatusUnprocessableEntity)
		return
	}
	if o.Do != orderList && o.Do != orderWalletShow {
		g.log.Info("order", "do", o.Do, "core", o.Core.ID.Short(), "prefix", o.Prefix, "units", o.Units)
	}
	answerJSON(w, a)
}

// reload puts a newer directory, a newer policy and newer revocations into force. What is refused changes nothing of the others.
func (g *gateDaemon) reload(ctx context.Context) error {
	d, err := g.trust.openDirectory(g.o.directory, g.gate.Directory())
	if err == nil && d.Epoch != g.gate.Directory().Epoch {
		g.remember(d)
		if err = g.gate.SetDirectory(ctx, d.Directory); err == nil {
			g.log.Info("directory in force", "epoch", d.Epoch, "beacons", len(d.Beacons))
		}
	}
	p, _, perr := readSignedPolicy(g.o.policy, g.authors)
	if perr == nil && !samePolicy(p, g.gate.Policy()) {
		if perr = g.gate.SetPolicy(ctx, p); perr == nil {
			g.log.Info("policy in force", "name", p.Name, "version", p.Version)
		}
	}
	return errors.Join(err, perr, g.revoke(ctx))
}

func samePolicy(a, b policy.Policy) bool {
	x, errX := a.Hash()
	y, errY := b.Hash()
	return errX == nil && errY == nil && x == y
}

// gateStatus is what /status says.
type gateStatus struct {
	Gate           identity.ID `json:"gate"`
	UptimeS        int64       `json:"uptime_s"`
	Ready          bool        `json:"ready"`
	Trouble        string      `json:"trouble,omitempty"`
	Epoch          uint64      `json:"directory_epoch"`
	EpochExpires   string      `json:"directory_expires_at"`
	Policy         string      `json:"policy"`
	PolicyVersion  uint64      `json:"policy_version"`
	Scheme         string      `json:"scheme"`
	Revocations    uint64      `json:"revocations_epoch"`
	ListExpires    string      `json:"revocations_expire_at,omitempty"`
	Leaves         uint64      `json:"ledger_leaves"`
	Evidence       uint64      `json:"evidence_written"`
	EvidenceFailed uint64      `json:"evidence_failed"`
}

func (g *gateDaemon) status() gateStatus {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d, p := g.gate.Directory(), g.gate.Policy()
	wrote, failed := g.keeper.counts()
	s := gateStatus{Gate: g.key.ID(), UptimeS: int64(time.Since(g.began).Seconds()), Ready: true, Epoch: d.Epoch, EpochExpires: utc(d.ExpiresUnixNS),
		Policy: p.Name, PolicyVersion: p.Version, Scheme: string(p.Scheme), Revocations: g.gate.Revocations().Epoch,
		ListExpires: rfc3339(g.gate.Revocations().ExpiresUnixNS), Evidence: wrote, EvidenceFailed: failed}
	if err := g.gate.Ready(ctx); err != nil {
		s.Ready, s.Trouble = false, oneLine(err.Error())
	}
	if head, err := g.store.Head(ctx); err == nil {
		s.Leaves = head.Size
	}
	return s
}
