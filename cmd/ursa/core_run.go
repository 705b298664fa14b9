package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// coreOptions are the flags that proving and running share.
type coreOptions struct {
	keys                 keyFlags
	passport             passportFlags
	inspect              inspectFlags // of beacons, before they time it
	dir, directory, mode string
	gates                []string
	scheme               string
	http2                bool
	want, burn           lock.Units
}

func (o *coreOptions) register(cmd *cobra.Command) {
	o.keys.register(cmd)
	o.passport.register(cmd)
	o.inspect.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", ".", "the core's `DIR`, which 'core init' made")
	f.StringVar(&o.directory, "directory", "", "`FILE` of the signed directory; read again for every proof")
	f.StringArrayVar(&o.gates, "gate", nil, "`URL` of the gate, such as https://gate.example.net:8443; repeat for others that serve the same store with the same key")
	f.StringVar(&o.scheme, "scheme", string(policy.SchemeCombined), "how the gate's policy pays for leases: lease or keys (debited), burn or combined (burnt before)")
	f.Uint64Var((*uint64)(&o.burn), "burn", 0, "`UNITS` to burn at a time, with burn and combined; 0: four times what is asked for")
	f.BoolVar(&o.http2, "http2", false, "reach the gate by HTTP/2 over TCP, where UDP does not pass (beacons need UDP anyhow)")
	f.StringVar(&o.mode, "mode", exchange.ModeBlocking.String(), "how the answering loop waits: blocking, held (CPU out of idle) or spinning (a CPU for the exchange)")
}

// gateAddress reads host and port of a gate's URL.
func gateAddress(gate string) (string, error) {
	u, err := url.Parse(gate)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", usagef("--gate %q: use a URL such as https://gate.example.net:8443", gate)
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443"), nil
	}
	return u.Host, nil
}

// gateAddresses reads all of them; one is needed.
func gateAddresses(gates []string) ([]string, error) {
	if len(gates) == 0 {
		return nil, usagef("--gate is missing: use a URL such as https://gate.example.net:8443")
	}
	var out []string
	for _, g := range gates {
		address, err := gateAddress(g)
		if err != nil {
			return nil, err
		}
		out = append(out, address)
	}
	return out, nil
}

// burnOf is how many units to burn at a time; 0: the scheme asks for none.
func burnOf(o coreOptions) (lock.Units, error) {
	scheme := policy.Scheme(o.scheme)
	switch scheme {
	case policy.SchemeLease, policy.SchemeKeys:
		if o.burn != 0 {
			return 0, usagef("--burn %d: scheme %s burns nothing; use burn or combined", o.burn, scheme)
		}
		return 0, nil
	case policy.SchemeBurn, policy.SchemeCombined:
		if o.burn != 0 {
			return o.burn, nil
		}
		if o.want > 1<<60 {
			return o.want, nil
		}
		return 4 * o.want, nil
	}
	return 0, usagef("--scheme %q: use lease, keys, burn or combined", o.scheme)
}

func parseMode(word string) (exchange.Mode, error) {
	for _, m := range []exchange.Mode{exchange.ModeBlocking, exchange.ModeHeld, exchange.ModeSpinning} {
		if m.String() == word {
			return m, nil
		}
	}
	return 0, usagef("--mode %q: use blocking, held or spinning", word)
}

// coreAgent is an agent with everything that it stands on.
type coreAgent struct {
	*core.Agent
	key     *identity.Private
	timed   *identity.TimedKey
	prover  *prober.Committee
	gates   *client.Many
	closers []func()
}

func (a *coreAgent) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
}

// openCore claims the folder and makes the agent. Probing is told of each beacon's exchange, events of what the agent does.
func openCore(cmd *cobra.Command, o coreOptions, probing func(prober.Event), events func(core.Event)) (_ *coreAgent, err error) {
	addresses, err := gateAddresses(o.gates)
	if err != nil {
		return nil, err
	}
	if o.burn, err = burnOf(o); err != nil {
		return nil, err
	}
	mode, err := parseMode(o.mode)
	if err != nil {
		return nil, err
	}
	if err := o.passport.check(); err != nil {
		return nil, err
	}
	if _, err := o.inspect.config(); err != nil { // now rather than at the first proof
		return nil, err
	}
	if o.want < 1 {
		return nil, usagef("--want 0: ask for at least one unit")
	}
	protect, err := o.keys.protector(cmd, false)
	if err != nil {
		return nil, err
	}
	a := &coreAgent{}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	release, err := claimHome(o.dir, "ursa core")
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, release)
	if err := a.openProver(cmd.Context(), o, mode, protect, probing, func(s string) { fmt.Fprintln(cmd.ErrOrStderr(), s) }); err != nil {
		return nil, err
	}
	return a, a.openAgent(o, addresses, events)
}

// openProver loads the key and opens the socket towards the beacons.
func (a *coreAgent) openProver(ctx context.Context, o coreOptions, mode exchange.Mode, protect identity.Protector, probing func(prober.Event), tell func(string)) error {
	trust, err := homeTrust(o.dir, "core")
	if err != nil {
		return err
	}
	if _, err := trust.openDirectory(o.directory, nil); err != nil {
		return err
	}
	if a.key, err = identity.LoadKey(filepath.Join(o.dir, coreKeyName), protect); err != nil {
		return err
	}
	if a.timed, err = identity.NewTimedKey(nil); err != nil {
		return err
	}
	pass, err := o.passport.openCore(ctx, o.dir, a.key, a.timed.ID(), tell)
	if err != nil {
		return err
	}
	clock, err := timing.HostClock()
	if err != nil {
		return err
	}
	wait := exchange.ModeBlocking
	if mode == exchange.ModeSpinning {
		wait = mode
	}
	socket, err := timing.Listen("udp", ":0", clock, wait)
	if err != nil {
		return fmt.Errorf("cannot open a socket for the beacons: %w", err)
	}
	a.closers = append(a.closers, func() { _ = socket.Close() })
	a.closers = append(a.closers, pass.close)
	history := &tpm.Clocks{} // of the beacons' TPMs, as long as this process lives
	cfg := prober.Config{Key: a.key, TimedKey: a.timed, Socket: socket, Clock: clock, Mode: mode, Progress: probing}
	a.prover = &prober.Committee{Prepare: func(ctx context.Context) (prober.Config, error) {
		d, err := trust.openDirectory(o.directory, nil)
		if err != nil {
			return cfg, err
		}
		now := cfg // a copy: the next proof may rest on another directory and another result
		now.Directory = d.Directory
		if now.Appraise, err = o.inspect.inspectorOf(trust, d.Directory, history); err != nil {
			return cfg, err
		}
		now.Attestation, _, err = pass.current(ctx, time.Now())
		return now, err
	}}
	return nil
}

// openAgent opens the way to the gates and boots the lock.
func (a *coreAgent) openAgent(o coreOptions, addresses []string, events func(core.Event)) error {
	gate, err := readPublic(filepath.Join(o.dir, coreGateName), identity.RoleGate)
	if err != nil {
		return err
	}
	var claim earth.LatLon
	if err := readJSON(filepath.Join(o.dir, coreClaimName), "a claimed place", &claim); err != nil {
		return err
	}
	var gates []*client.Client
	for _, address := range addresses {
		cfg := client.Config{Key: a.key, Claim: claim, Address: address}
		if len(addresses) > 1 {
			cfg.Timeout = 5 * time.Second // there is another one to ask
		}
		if !o.http2 {
			conn, err := net.ListenUDP("udp", nil)
			if err != nil {
				return fmt.Errorf("cannot open a socket for the gate: %w", err)
			}
			a.closers = append(a.closers, func() { _ = conn.Close() })
			cfg.Conn = conn
		}
		to, err := client.New(cfg)
		if err != nil {
			return err
		}
		a.closers = append(a.closers, func() { _ = to.Close() })
		gates = append(gates, to)
	}
	if a.gates, err = client.NewMany(gates...); err != nil {
		return err
	}
	a.Agent, err = core.New(core.Config{Key: a.key, TimedKey: a.timed, GateKey: gate.Key, Gate: a.gates, Prover: a.prover, Memory: core.NewFolder(o.dir), Want: o.want,
		Burn: o.burn, Clock: core.HostClock(), Events: events})
	return err
}

// provenJSON is what `ursa core prove --json` prints.
type provenJSON struct {
	Decision     string         `json:"decision"` // granted or denied
	RefusedBy    string         `json:"refused_by"`
	Reason       string         `json:"reason"`
	Verdict      string         `json:"verdict"` // of a denial; empty when it did not come to one
	Core         identity.ID    `json:"core"`
	GrantedUnits uint64         `json:"granted_units"`
	ProofBytes   int            `json:"proof_bytes"`
	ElapsedMS    int64          `json:"elapsed_ms"`
	Beacons      []provenBeacon `json:"beacons"`
}

type provenBeacon struct {
	ID             identity.ID `json:"id"`
	Place          string      `json:"place"`
	RTTCoreMinNS   int64       `json:"rtt_core_min_ns,omitempty"`
	RTTBeaconMinNS int64       `json:"rtt_beacon_min_ns,omitempty"`
	RoundsOK       uint64      `json:"rounds_ok"`
	RoundsSent     uint64      `json:"rounds_sent"`
	Flags          string      `json:"flags,omitempty"`
	Error          string      `json:"error,omitempty"`
}

// proveOnce is `ursa core prove`.
func proveOnce(cmd *cobra.Command, o coreOptions, file string, asJSON bool) error {
	var proof []byte
	began := time.Now()
	out := provenJSON{Decision: "denied"}
	a, err := openCore(cmd, o, func(e prober.Event) { tellProbing(cmd.ErrOrStderr(), e) }, func(e core.Event) {
		switch e.Kind {
		case core.Challenged:
			fmt.Fprintf(cmd.ErrOrStderr(), "challenged after %d ms; asking the beacons\n", e.Took.Milliseconds())
		case core.Proved:
			proof = e.Proof
		case core.Granted:
			out.Decision, out.GrantedUnits = "granted", uint64(e.Units)
		}
	})
	if err != nil {
		return err
	}
	defer a.close()
	err = a.Obtain(cmd.Context())
	var no *core.Denied
	if err != nil && !errors.As(err, &no) {
		if idle := (*quic.IdleTimeoutError)(nil); errors.As(err, &idle) && !o.http2 {
			return fmt.Errorf("%w; is a gate there? where UDP does not pass, try --http2", err)
		}
		return err
	}
	if no != nil {
		out.RefusedBy, out.Reason, out.Verdict = no.RefusedBy, no.Reason, no.Verdict
	}
	out.Core, out.ProofBytes, out.ElapsedMS = a.key.ID(), len(proof), time.Since(began).Milliseconds()
	out.Beacons = provenBeacons(a.prover.Last())
	if file != "" && proof != nil {
		if err := writeWhole(file, proof, 0o600); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(cmd, out)
	} else {
		err = out.print(cmd.OutOrStdout())
	}
	if err == nil && no != nil {
		err = deniedError{}
	}
	return err
}

// tellProbing shows the beacons' answers as they come.
func tellProbing(out io.Writer, e prober.Event) {
	switch e.Phase {
	case prober.Succeeded:
		fmt.Fprintf(out, "%s: %s in %d rounds\n", e.Place, e.RTT, e.Rounds)
	case prober.Failed:
		fmt.Fprintf(out, "%s: no statement: %s\n", e.Place, oneLine(e.Err.Error()))
	}
}

func provenBeacons(o prober.Outcome) []provenBeacon {
	list := []provenBeacon{}
	for _, a := range o.Answers {
		s := a.Statement
		list = append(list, provenBeacon{ID: a.Beacon.ID(), Place: a.Beacon.Place, RTTCoreMinNS: int64(a.RTTCore), RTTBeaconMinNS: s.RTTBeaconMinNS,
			RoundsOK: s.RoundsOK, RoundsSent: s.RoundsSent, Flags: s.Flags.String()})
	}
	for _, f := range o.Failures {
		list = append(list, provenBeacon{ID: f.Beacon, Place: f.Place, Error: oneLine(f.Err.Error())})
	}
	return list
}

func (p provenJSON) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BEACON\tPLACE\tRTT (CORE)\tRTT (BEACON)\tROUNDS\tFLAGS")
	for _, b := range p.Beacons {
		if b.Error != "" {
			fmt.Fprintf(w, "%s\t%s\tno statement: %s\n", b.ID.Short(), b.Place, b.Error)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d of %d\t%s\n", b.ID.Short(), b.Place, earth.RTT(b.RTTCoreMinNS), earth.RTT(b.RTTBeaconMinNS), b.RoundsOK, b.RoundsSent, b.Flags)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if p.Decision == "granted" {
		_, err := fmt.Fprintf(out, "GRANTED  %d units to core %s after %d ms; the proof has %d bytes\n", p.GrantedUnits, p.Core.Short(), p.ElapsedMS, p.ProofBytes)
		return err
	}
	_, err := fmt.Fprintf(out, "DENIED   by %s: %s\n", p.RefusedBy, p.Reason)
	return err
}

// runWorkload is `ursa core run`.
func runWorkload(cmd *cobra.Command, o coreOptions, log *slog.Logger, onDenial bool, gpu string, command []string) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	var mu sync.Mutex
	var status coreStatus
	var denial *core.Denied
	a, err := openCore(cmd, o, nil, func(e core.Event) {
		logEvent(log, e)
		mu.Lock()
		defer mu.Unlock()
		status.note(e)
		if e.Kind == core.DeniedKind && onDenial && denial == nil {
			denial = e.Denied
			cancel()
		}
	})
	if err != nil {
		return err
	}
	defer a.close()
	process, err := workload.Start(workload.Config{Command: command, Stdout: fileOf(cmd.OutOrStdout()), Stderr: fileOf(cmd.ErrOrStderr())})
	if err != nil {
		return err
	}
	status.Core, status.Hold = a.key.ID(), string(process.Hold())
	mux := statusHandler(func() any { mu.Lock(); defer mu.Unlock(); return status }).(*http.ServeMux)
	mux.HandleFunc("POST /token", a.token)
	stop, err := control(o.dir, mux)
	if err != nil {
		return errors.Join(err, process.Stop())
	}
	defer stop()
	metered, how, err := meterGPU(process, gpu)
	if err != nil {
		return errors.Join(err, process.Stop())
	}
	log.Info("workload starts frozen", "core", a.key.ID().Short(), "pid", process.PID(), "hold", process.Hold(), "gpu", how)
	return runEnd(a.Run(ctx, metered), process, denial)
}

// meterGPU adds GPU time to the meter where there is a driver, and says what it found.
func meterGPU(process *workload.Process, want string) (core.Workload, string, error) {
	if want == gpuOff {
		return process, "not metered", nil
	}
	gpus, look, err := workload.NVIDIA()
	switch {
	case err == nil:
		return workload.WithGPU(process, gpus, look, 0), "metered with nvidia-smi", nil
	case want == gpuRequired:
		return nil, "", fmt.Errorf("--gpu required: %w", err)
	}
	return process, "no driver found", nil
}

// What to do about GPUs.
const (
	gpuAuto     = "auto"
	gpuOff      = "off"
	gpuRequired = "required"
)

// runEnd says how a run ended, in exit statuses.
func runEnd(err error, process *workload.Process, denial *core.Denied) error {
	exit, _ := process.Exit()
	switch {
	case denial != nil:
		return deniedError{denial.Error()}
	case errors.Is(err, core.ErrExited) && exit.Code == 0:
		return nil
	case errors.Is(err, core.ErrExited) && exit.Signal != "":
		return fmt.Errorf("the workload was ended by a signal: %s", exit.Signal)
	case errors.Is(err, core.ErrExited):
		return fmt.Errorf("the workload ended with exit status %d", exit.Code)
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// fileOf is the process's own stream, which a workload inherits; anything else, as in tests, is discarded.
func fileOf(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}

// logEvent writes one record; proofs and leases stay out of it.
func logEvent(log *slog.Logger, e core.Event) {
	args := []any{"allowance", uint64(e.Allowance), "cpu_ms", e.CPU.Milliseconds()}
	if e.Took > 0 {
		args = append(args, "took_ms", e.Took.Milliseconds())
	}
	if e.Units > 0 {
		args = append(args, "units", uint64(e.Units))
	}
	if e.Reason != "" {
		args = append(args, "reason", oneLine(e.Reason))
	}
	level := slog.LevelInfo
	switch e.Kind {
	case core.Asking, core.Challenged, core.Proved, core.Allowance:
		level = slog.LevelDebug
	case core.DeniedKind, core.Failed, core.Frozen:
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, string(e.Kind), args...)
}
