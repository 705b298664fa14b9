package main

import (
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// keeper writes the sealed evidence of every decision before its answer is sent. A lease whose evidence cannot be written, on a full disk,
// is owed: the core does not get it, sends the same request again, and gets the same bytes when the evidence is there. Whoever is killed
// between his transaction and the file leaves a release without evidence, which a monitor names.
type keeper struct {
	seal func(grant.Request, grant.Decision) error
	log  *slog.Logger

	mu              sync.Mutex // guards what follows
	owed            map[identity.ID]owing
	written, failed uint64
}

// owing is a release that nobody could verify yet. A core asks for one lease at a time, so it has one at most.
type owing struct {
	request  grant.Request
	decision grant.Decision
}

func newKeeper(log *slog.Logger, seal func(grant.Request, grant.Decision) error) *keeper {
	return &keeper{seal: seal, log: log, owed: map[identity.ID]owing{}}
}

// keep is server.Config.Keep.
func (k *keeper) keep(r grant.Request, d grant.Decision) error {
	if d.Repeated {
		return k.settle(r)
	}
	if d.Record.DecidedUnixNS == 0 {
		return nil // it was refused before there was anything to show
	}
	err := k.write(r, d)
	if err != nil && d.Granted {
		k.mu.Lock()
		k.owed[r.Core] = owing{r, d}
		k.mu.Unlock()
		return err
	}
	if err == nil {
		k.settleAll()
	}
	return nil
}

func (k *keeper) write(r grant.Request, d grant.Decision) error {
	err := k.seal(r, d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.failed++
		k.log.Error("evidence cannot be written", "core", r.Core.Short(), "granted", d.Granted, "error", err)
		return err
	}
	k.written++
	return nil
}

// settle writes what is owed of the request, if anything is.
func (k *keeper) settle(r grant.Request) error {
	k.mu.Lock()
	o, owes := k.owed[r.Core]
	k.mu.Unlock()
	if !owes || o.request.RequestID != r.RequestID {
		return nil
	}
	if err := k.write(o.request, o.decision); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.owed[r.Core]; now.request.RequestID == r.RequestID {
		delete(k.owed, r.Core)
	}
	return nil
}

// settleAll writes what is owed to others, until one cannot be written: their cores may have given up, or ask another gate.
func (k *keeper) settleAll() {
	k.mu.Lock()
	owed := maps.Clone(k.owed)
	k.mu.Unlock()
	for _, o := range owed {
		if k.settle(o.request) != nil {
			return
		}
	}
}

// counts are the files written, and the attempts that failed.
func (k *keeper) counts() (written, failed uint64) {
	if k == nil {
		return 0, 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.written, k.failed
}

// seal writes the evidence of one decision to the gate's folder.
func (g *gateDaemon) seal(r grant.Request, d grant.Decision) error {
	epoch := g.gate.Directory().Epoch
	if d.Finding.Verified != nil {
		epoch = d.Finding.Verified.Asked.Challenge().DirectoryEpoch
	}
	g.mu.Lock()
	signed := g.signed[epoch]
	g.mu.Unlock()
	file, err := evidence.Seal(g.key, signed, g.trust.trust(), r, d)
	if err != nil {
		return err
	}
	word, end := "granted", ".ursa"
	if !d.Granted {
		word = "denied-" + d.RefusedBy
	}
	if len(g.auditors) > 0 {
		end += ".locked"
		if file, err = evidence.Lock(file, g.auditors...); err != nil {
			return err
		}
	}
	at := time.Unix(0, d.Record.DecidedUnixNS).UTC().Format("20060102T150405.000000000Z")
	return writeWhole(filepath.Join(g.o.home.dir, gateEvidenceDir, at+"-"+r.Core.Short()+"-"+word+end), file, 0o600)
}
