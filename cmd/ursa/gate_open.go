package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// What halts a gate at its start, beside a store that is older than the ledger.
var (
	errOldPolicy = errors.New("the ledger has seen a newer policy than this one: put the newest back, or a newer one")
	errOldList   = errors.New("the ledger has seen a newer list of revocations than this one: put the newest back, or a newer one")
	errOtherList = errors.New("the ledger has seen another list of revocations with this epoch: ask its authors")
)

// open reads the folder, opens store and ledger, and makes the gate.
func (g *gateDaemon) open(ctx context.Context, protect identity.Protector) (err error) {
	o := g.o
	release, err := claimHome(o.home.dir, "ursa gate")
	if err != nil {
		return err
	}
	g.closers = append(g.closers, release)
	if g.trust, err = homeTrust(o.home.dir, "gate"); err != nil {
		return err
	}
	d, err := g.trust.openDirectory(o.directory, nil)
	if err != nil {
		return err
	}
	if g.auditors, err = readAuditors(o.auditors); err != nil {
		return err
	}
	if g.authors, err = o.home.authors(); err != nil {
		return err
	}
	p, _, err := readSignedPolicy(o.policy, g.authors)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no policy at %s: 'ursa gate policy set' writes one; without a policy nothing is granted", o.policy)
	}
	if err != nil {
		return err
	}
	if g.key, err = identity.LoadKey(o.home.path(gateKeyName), protect); err != nil {
		return err
	}
	if err := g.openIssuer(); err != nil {
		return err
	}
	if err := g.openStore(ctx); err != nil {
		return err
	}
	return g.openGate(ctx, d, p)
}

// openStore opens store and ledger and compares them: what is not whole, or older, halts the gate.
func (g *gateDaemon) openStore(ctx context.Context) error {
	st, err := g.o.home.openStore(ctx)
	if err != nil {
		return err
	}
	g.store = st
	g.closers = append(g.closers, func() { _ = st.Close() })
	begun := time.Now()
	if err := st.Check(ctx); err != nil {
		return err
	}
	if took := time.Since(begun); took > time.Second {
		g.log.Info("store checked", "took_ms", took.Milliseconds())
	}
	key, err := g.o.home.ledgerKey(g.key)
	if err != nil {
		return err
	}
	witnesses, err := readWitnesses(g.o.witnesses)
	if err != nil {
		return err
	}
	if g.ledger, err = ledger.OpenLog(ctx, ledger.LogConfig{Dir: g.o.home.path(gateLedgerDir), Key: key, Source: ledger.FromStore(st), Witnesses: witnesses}); err != nil {
		return err
	}
	g.closers = append(g.closers, func() { _ = g.ledger.Close() })
	if g.o.noEvidence {
		return nil
	}
	return newHome(g.o.home.path(gateEvidenceDir))
}

// readWitnesses reads who must cosign checkpoints; nil without a file.
func readWitnesses(path string) (*ledger.Witnesses, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readLimited(path, maxSmallFile)
	if err != nil {
		return nil, err
	}
	w, err := ledger.ParseWitnesses(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// openGate makes the gate and puts directory, policy and revocations into force, if the ledger has not seen newer ones.
func (g *gateDaemon) openGate(ctx context.Context, d published, p policy.Policy) error {
	list, _, err := readRevocationFile(g.o.home, g.o.revocations)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if err := compareHistory(ctx, g.store, p, list); err != nil {
		return err
	}
	secret, err := g.o.home.stepSecret(g.key)
	if err != nil {
		return err
	}
	doubt, err := g.openEstimate(ctx)
	if err != nil {
		return err
	}
	g.gate, err = grant.New(ctx, grant.Config{Key: g.key, Doubt: doubt, Store: g.store, Directory: d.Directory, Policy: p, Ledger: g.ledger, Metro: g.o.near, Random: g.o.drawn,
		MustRevoke: !g.o.noList, StepSecret: secret, Audiences: g.o.audiences, Shared: g.o.home.shared()})
	if errors.Is(err, grant.ErrDirectoryGate) {
		return fmt.Errorf("%w: the directory's signers have to put %s in", err, g.o.home.path(gatePublicName))
	}
	if err != nil {
		return err
	}
	g.remember(d)
	if missing {
		if !g.o.noList {
			g.log.Warn("no list of revocations: nothing is granted before there is one; 'ursa gate revoke --renew' signs one", "file", g.o.revocations)
		}
		return nil
	}
	if _, err := g.gate.SetRevocations(ctx, list); errors.Is(err, revoke.ErrPeriod) {
		return fmt.Errorf("%w: it is of %s to %s; 'ursa gate revoke --renew' signs a new one", err, utc(list.IssuedUnixNS), utc(list.ExpiresUnixNS))
	} else if err != nil {
		return err
	}
	return nil
}

// openEstimate trains the estimate for a policy's veto; nil where none is wanted.
func (g *gateDaemon) openEstimate(ctx context.Context) (func([]statement.Fact, string) *uint64, error) {
	if g.o.estimate == "" {
		return nil, nil
	}
	begun := time.Now()
	d, err := openDoubter(ctx, g.o.estimate, func(int, int) {})
	if err != nil {
		return nil, err
	}
	g.log.Info("estimate for vetoes", "beacons", len(d.index), "took_ms", time.Since(begun).Milliseconds())
	return d.doubt, nil
}

// revoke puts the newest list of revocations into force.
func (g *gateDaemon) revoke(ctx context.Context) error {
	l, _, err := readRevocationFile(g.o.home, g.o.revocations)
	if errors.Is(err, fs.ErrNotExist) && g.gate.Revocations().Epoch == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if l.Epoch == g.gate.Revocations().Epoch {
		return nil
	}
	fallen, err := g.gate.SetRevocations(ctx, l)
	if g.gate.Revocations().Epoch != l.Epoch {
		return err // a list that is in force, but not noted in the ledger, is in force
	}
	g.log.Info("revocations in force", "epoch", l.Epoch, "entries", len(l.Entries), "leases", len(fallen))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fallen = nil
	for _, id := range fallen {
		g.fallen = append(g.fallen, id.Short())
	}
	return err
}

// takeFallen says once whose leases fell.
func (g *gateDaemon) takeFallen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.fallen
	g.fallen = nil
	return out
}

// compareHistory refuses a policy or a list of revocations that is older than one that the ledger has seen.
func compareHistory(ctx context.Context, st store.Store, p policy.Policy, list revoke.List) error {
	hash, err := p.Hash()
	if err != nil {
		return err
	}
	head, err := st.Head(ctx)
	if err != nil {
		return err
	}
	seen, newest := false, hash
	var epoch uint64
	var object [32]byte
	for at := uint64(0); at < head.Size; {
		to := min(at+1024, head.Size)
		leaves, err := st.Leaves(ctx, at, to)
		if err != nil {
			return err
		}
		for _, raw := range leaves {
			l, err := ledger.Decode(raw.Data)
			if err != nil {
				return fmt.Errorf("leaf %d of the ledger: %w", raw.Index, err)
			}
			switch l.Kind {
			case ledger.KindPolicy:
				seen, newest = seen || l.Object == hash, l.Object
			case ledger.KindRevocation:
				if l.Epoch >= epoch {
					epoch, object = l.Epoch, l.Object
				}
			}
		}
		at = to
	}
	if seen && newest != hash {
		return fmt.Errorf("policy %q version %d: %w", p.Name, p.Version, errOldPolicy)
	}
	return compareList(list, epoch, object)
}

func compareList(list revoke.List, epoch uint64, object [32]byte) error {
	if list.Epoch < epoch {
		return fmt.Errorf("epoch %d, the ledger has %d: %w", list.Epoch, epoch, errOldList)
	}
	if epoch == 0 || list.Epoch > epoch {
		return nil
	}
	hash, err := list.Hash()
	if err == nil && hash != object {
		return fmt.Errorf("epoch %d: %w", epoch, errOtherList)
	}
	return err
}

// openIssuer makes the issuer of tokens.
func (g *gateDaemon) openIssuer() error {
	if g.o.issuer == "" {
		return nil
	}
	key, err := g.o.home.tokenKey(g.key)
	if err != nil {
		return err
	}
	if g.tokens, err = token.NewIssuer(g.o.issuer, key); err != nil {
		return usagef("--issuer: %w", err)
	}
	return nil
}

// showIssuer serves what relying parties ask for on an address of its own, with a certificate that they know.
func (g *gateDaemon) showIssuer() (stop func(), err error) {
	if g.tokens == nil || g.o.issuerListen == "" {
		return func() {}, nil
	}
	h, err := g.tokens.Handler()
	if err != nil {
		return nil, err
	}
	l, err := listenTCP("--issuer-listen", g.o.issuerListen)
	if err != nil {
		return nil, err
	}
	g.log.Info("issuer of tokens", "url", g.o.issuer, "address", l.Addr().String(), "audiences", g.o.audiences)
	if g.o.tlsCert == "" {
		return serveHTTP(l, h), nil
	}
	pair, err := tls.LoadX509KeyPair(g.o.tlsCert, g.o.tlsKey)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	var secure net.Listener = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	return serveHTTP(secure, h), nil
}

// tidy forgets answers that nobody can ask for any more, once an hour.
func (g *gateDaemon) tidy(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		n, err := g.gate.Prune(ctx)
		if err != nil && ctx.Err() == nil {
			g.log.Warn("old answers stay", "error", err)
		} else if n > 0 {
			g.log.Info("old answers forgotten", "answers", n)
		}
	}
}
