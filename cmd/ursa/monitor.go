package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
)

func monitorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Re-verify what a gate released, from its ledger and the sealed evidence",
		Long: "A monitor reads and has no power: it computes every hash of the ledger anew, makes every decision again whose evidence it can open, and\n" +
			"says what is wrong. What it cannot open it counts. It believes the ledger's public key, the trust file, and the policies that it is\n" +
			"given; not the gate.\n\nExit status 0: nothing was found. 3: something was. 1: the ledger or a file could not be read.",
		Example: "  ursa monitor verify --gate gate --state monitor.json\n" +
			"  ursa monitor verify --ledger https://gate.example.net:8443/v1/ledger/ --ledger-key ledger.json --evidence copy --auditor auditor --trust trust.json\n" +
			"  ursa monitor report --gate gate --per month --plot usage.svg\n  ursa monitor watch --gate gate --state monitor.json --kept monitor.kept --metrics 127.0.0.1:9543\n" +
			"  ursa monitor watch --gates gates.json --auditor auditor --trust trust.json",
	}
	cmd.AddCommand(monitorVerifyCommand(), monitorReportCommand(), monitorWatchCommand())
	return cmd
}

// monitorOptions are what all commands of a monitor take.
type monitorOptions struct {
	proofs               proofFlags
	gate, ledger, key    string
	evidence             []string
	policies             []string
	authors, state, kept string
	period, gates        string
	seen, witness, views []string
	complete             bool
	hall, workers        int
	grace                time.Duration

	called   []string        // names of the gates, where there are several; the first one's ledger is read
	verifier ledger.Verifier // of the ledger; zero: not read yet
}

func (o *monitorOptions) register(cmd *cobra.Command) {
	o.proofs.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.gate, "gate", "", "a gate's `DIR`, or a copy of it: ledger, key, evidence, trust, authors and policy are looked for there; or its https address")
	f.StringVar(&o.gates, "gates", "", "`FILE` that lists several gates (JSON), to be read side by side, and for what only several of them show")
	f.StringVar(&o.ledger, "ledger", "", "`DIR` or https address of the ledger")
	f.StringVar(&o.key, "ledger-key", "", "`FILE` that says who signs the ledger's checkpoints (ledger.json)")
	f.StringArrayVar(&o.evidence, "evidence", nil, "`DIR` of sealed evidence; repeat for several")
	f.StringArrayVar(&o.policies, "policy", nil, "`FILE` of a policy that was in force, signed or not; repeat for each")
	f.StringVar(&o.authors, "authors", "", "`FILE` of the policies' authors: policies given must be signed, and no others may have been in force")
	f.StringVar(&o.state, "state", "", "`FILE` that remembers the newest checkpoint between runs: without it a ledger that was rolled back or forked meanwhile is not noticed")
	f.StringVar(&o.kept, "kept", "", "`FILE` of what was verified: the next start goes on from there, and opens no evidence again; it says what evidence says, so it is as private")
	f.StringArrayVar(&o.seen, "seen", nil, "`FILE` of a checkpoint that somebody else has seen; repeat for several")
	f.StringArrayVar(&o.witness, "witness", nil, "`FILE` of witnesses as the gate has it (--witnesses), or the key of one (NAME+HASH+KEY), repeated for each: every checkpoint must bear their cosignatures, and no false one")
	f.StringArrayVar(&o.views, "view", nil, "`DIR` or https address where the same ledger is shown to others: it must be the same; repeat for several")
	f.BoolVar(&o.complete, "complete", false, "all evidence is here: a release without is a finding")
	f.IntVar(&o.hall, "hall", 64, "how many cores that answer as if from one hall are a finding; 0: none are")
	f.DurationVar(&o.grace, "grace", time.Minute, "how long evidence may come after its release, and a revocation after its leaf; how far the times of leaves may go back")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "decisions that are made again at once")
}

// settle fills in what a gate's folder says, and refuses what does not go together.
func (o *monitorOptions) settle() error {
	switch {
	case isURL(o.gate):
		if o.ledger == "" {
			o.ledger = strings.TrimSuffix(o.gate, "/") + "/v1/ledger/"
		}
	case o.gate != "":
		o.fromFolder()
	}
	switch {
	case o.ledger == "":
		return usagef("no ledger: give --gate DIR, or --ledger with --ledger-key")
	case o.key == "":
		return usagef("no key of the ledger: give --ledger-key FILE, the ledger.json of the gate, by a way of its own")
	case o.hall < 0 || o.hall == 1 || o.workers < 1 || o.workers > 1024:
		return usagef("--hall %d --workers %d: use 0 or at least 2 cores, and 1 to 1024 workers", o.hall, o.workers)
	case o.grace <= 0:
		return usagef("--grace %s: use more than 0", o.grace)
	case o.authors != "" && len(o.policies) == 0:
		return usagef("--authors without --policy: give every signed policy that was in force")
	}
	return nil
}

func isURL(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// ledgerKeyFile is what --ledger-key names.
const ledgerKeyFile = "the public key of a ledger (ledger.json)"

// fromFolder takes from a gate's folder what was not given otherwise.
func (o *monitorOptions) fromFolder() {
	in := func(name string) string {
		path := filepath.Join(o.gate, name)
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		return path
	}
	if o.ledger == "" {
		o.ledger = filepath.Join(o.gate, gateLedgerDir)
	}
	if o.key == "" {
		o.key = in(gateLedgerPublic)
	}
	if dir := in(gateEvidenceDir); len(o.evidence) == 0 && dir != "" {
		o.evidence = []string{dir}
	}
	if o.proofs.trust == "" {
		o.proofs.trust = in(trustName)
	}
	if signed := in(signedPolicyName); signed != "" && !slices.Contains(o.policies, signed) {
		o.policies = append(o.policies, signed)
	}
}

// watcher is a monitor at work.
type watcher struct {
	*monitor.Follower
	o      monitorOptions
	read   func(string) ([]byte, error)
	origin string
	errOut io.Writer
	alone  bool   // and may show its progress
	close  func() // when the work is done
}

// start opens everything that does not change. The options are settled; read reads evidence.
func (o monitorOptions) start(cmd *cobra.Command, read func(string) ([]byte, error)) (*watcher, error) {
	w := &watcher{o: o, read: read, errOut: cmd.ErrOrStderr(), close: func() {}}
	v := o.verifier
	if v == (ledger.Verifier{}) {
		if err := readJSON(o.key, ledgerKeyFile, &v); err != nil {
			return nil, err
		}
	}
	w.origin = v.Origin
	source, err := monitor.Open(o.ledger, ledgerClient())
	if err != nil {
		return nil, err
	}
	seen, err := o.checkpoints(v.Origin)
	if err != nil {
		return nil, err
	}
	witnesses, err := o.witnesses()
	if err != nil {
		return nil, err
	}
	reader, err := monitor.NewReader(monitor.ReaderConfig{Source: source, Verifier: v, Witnesses: witnesses, Seen: seen})
	if err != nil {
		return nil, err
	}
	var views []monitor.View
	for _, at := range o.views {
		view, err := monitor.Open(at, ledgerClient())
		if err != nil {
			return nil, err
		}
		views = append(views, monitor.View{Name: at, Source: view})
	}
	options := monitor.Options{Complete: o.complete, Hall: o.hall, Signed: o.authors != "", Grace: o.grace}
	if o.period != "" {
		if options.Per, err = monitor.ParsePeriod(o.period); err != nil {
			return nil, usagef("--per: %w", err)
		}
	}
	if options.Policies, err = o.readPolicies(cmd); err != nil {
		return nil, err
	}
	e, err := o.proofs.options()
	if err != nil {
		return nil, err
	}
	options.Trust = e.Trust
	w.Follower = monitor.NewFollower(reader, monitor.NewAuditor(options), views...)
	return w, w.keep()
}

// witnesses are those whose cosignatures are asked for: one file, or any number of keys; nil: none.
func (o monitorOptions) witnesses() (*ledger.Witnesses, error) {
	switch {
	case len(o.witness) == 0:
		return nil, nil
	case len(o.witness) == 1 && strings.Count(o.witness[0], "+") < 2:
		text, err := readLimited(o.witness[0], maxSmallFile)
		if err != nil {
			return nil, err
		}
		w, err := ledger.ParseCosigners(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.witness[0], err)
		}
		return w, nil
	}
	w, err := ledger.CosignerKeys(o.witness...)
	if err != nil {
		return nil, usagef("--witness: %w", err)
	}
	return w, nil
}

func (o monitorOptions) readPolicies(cmd *cobra.Command) ([]policy.Policy, error) {
	var out []policy.Policy
	var authors quorum.Authors
	if o.authors != "" {
		var err error
		if authors, err = readAuthorsFile(o.authors); err != nil {
			return nil, err
		}
	}
	for _, path := range o.policies {
		if o.authors != "" {
			p, _, err := readSignedPolicy(path, authors)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
			continue
		}
		l, err := loadPolicy(cmd, path)
		if err != nil {
			return nil, err
		}
		out = append(out, l.file.Policy)
	}
	return out, nil
}

// ledgerClient reads a gate's public endpoint. Who answers is of no importance: every byte is held against checkpoints that the
// ledger's key signed, and a gate's certificate is its own. What it sends is bounded.
func ledgerClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	return &http.Client{Transport: boundedTransport{t}, Timeout: time.Minute}
}

// maxLedgerBody is more than any checkpoint or bundle of 256 leaves can have.
const maxLedgerBody = 4 << 20

type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxLedgerBody), res.Body}
	}
	return res, err
}

// round reads what is new. With an error there may be a report all the same: of what could be read.
func (w *watcher) round(ctx context.Context) (*monitor.Report, error) {
	names, err := w.list()
	if err != nil {
		return nil, err
	}
	show, finish := func(int, int) {}, func() {}
	if w.alone {
		show, finish = stepProgress(w.errOut, "monitor")
	}
	some, err := w.Round(ctx, names, w.open, w.o.workers, func(n int) { show(n, len(names)) })
	finish()
	if !some {
		return nil, err
	}
	r := w.Auditor.Report(time.Now())
	return &r, errors.Join(err, w.remember())
}

// list finds evidence that was not opened yet, the oldest first: names begin with the time of the decision.
func (w *watcher) list() ([]string, error) {
	var out []string
	for _, dir := range w.o.evidence {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		for _, e := range entries {
			if name := strings.TrimSuffix(e.Name(), lockedEnd); strings.HasSuffix(name, ".ursa") && !e.IsDir() {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return w.New(out), nil
}

// open reads one file of evidence; what is locked to others is left out.
func (w *watcher) open(path string) ([]byte, error) {
	file, err := w.read(path)
	if errors.Is(err, errLocked) || errors.Is(err, evidence.ErrNotAuditor) {
		return nil, monitor.ErrSkip
	}
	return file, err
}

// stepProgress shows how many of so many are done, on a terminal as a bar, else as a line for every tenth after a second.
func stepProgress(errOut io.Writer, what string) (show func(done, total int), finish func()) {
	if f, ok := errOut.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		tell, done := benchProgress(errOut)
		return func(n, total int) { tell(fmt.Sprintf("%d of %d", n, total), float64(n)/float64(max(total, 1))) }, done
	}
	begin, tenths := time.Now(), 0
	return func(n, total int) {
		if at := n * 10 / max(1, total); at > tenths && time.Since(begin) > time.Second {
			tenths = at
			fmt.Fprintf(errOut, "%s: %d of %d\n", what, n, total)
		}
	}, func() {}
}
