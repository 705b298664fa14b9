package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/service"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// attestServeOptions are the flags of `ursa attest serve`.
type attestServeOptions struct {
	keys                                keyFlags
	log                                 logFlag
	trust                               trustFlags
	keepers                             keepersFlags
	key, trustFile, directory, machines string
	listen, revocations                 string
	manifests                           []string
	needRevocations                     bool
	ttl                                 time.Duration
	days                                int
}

func attestServeCommand() *cobra.Command {
	var o attestServeOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "The appraiser as a service: enrols TPMs and appraises beacons and cores over the network",
		Long: "Answers on a UDP port. Beacons are appraised by their directory entries, cores by manifests (--manifest). Manufacturers that\n" +
			"count are the directory's; this appraiser must be listed there too, or nobody relies on its results.\n\n" +
			"--machines names the TPMs that may be enrolled: people have looked at these machines. One name a line, as 'ursa attest machine'\n" +
			"prints it; what follows on the line is a remark. SIGHUP reads directory, machines, manifests and revocations again.",
		Example: "  ursa attest serve --key appraiser.key --trust trust.json --directory directory.ursa --machines machines.txt --listen :4434\n" +
			"  ursa attest serve --key appraiser.key --trust trust.json --directory directory.ursa --manifest m.ursa --keepers keepers.json --revocations r.ursa",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "key", "trust", "directory"); err != nil {
				return err
			}
			return serveAttest(cmd, o)
		},
	}
	o.keys.register(cmd)
	o.log.register(cmd)
	o.trust.register(cmd)
	o.keepers.register(cmd)
	for _, name := range []string{"root", "enroller"} {
		_ = cmd.Flags().MarkHidden(name) // the directory says
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "the appraiser's key `FILE`, as 'ursa attest key' makes it")
	f.StringVar(&o.trustFile, "trust", "", "the constellation's trust `FILE` (trust.json)")
	f.StringVar(&o.directory, "directory", "", "`FILE` of the signed directory")
	f.StringVar(&o.listen, "listen", ":4434", "UDP `ADDRESS` to answer on")
	f.StringVar(&o.machines, "machines", "", "`FILE` with the names of machines that may be enrolled; empty: nobody is enrolled here")
	f.StringSliceVar(&o.manifests, "manifest", nil, "signed manifest `FILE`: what cores may run; none: cores are refused")
	f.StringVar(&o.revocations, "revocations", "", "signed revocation list `FILE`")
	f.BoolVar(&o.needRevocations, "need-revocations", false, "refuse everything while there is no list that is in force")
	f.DurationVar(&o.ttl, "ttl", attest.MaxResultTTL, "how long a result holds, at most an hour")
	f.IntVar(&o.days, "days", 365, "how long an enrolment holds")
	return cmd
}

// attestDesk is what the service judges by; SIGHUP makes a new one.
type attestDesk struct {
	directory *directory.Directory
	appraiser *attest.Appraiser
	enroller  *tpm.Enroller
	machines  []machineName
	cores     attest.Policy
}

// attestDaemon is the service with its desk.
type attestDaemon struct {
	o       attestServeOptions
	key     *identity.Private
	trust   trustFile
	history *tpm.Clocks
	log     *slog.Logger

	mu   sync.Mutex // guards now
	now  *attestDesk
	list *attest.Revocations // the newest; never goes back
}

func serveAttest(cmd *cobra.Command, o attestServeOptions) error {
	log, err := o.log.open(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.revocations != "" && o.keepers.file == "" || len(o.manifests) > 0 && o.keepers.file == "" {
		return usagef("--manifest and --revocations need --keepers FILE: whose signatures count")
	}
	protect, err := o.keys.protector(cmd, false)
	if err != nil {
		return err
	}
	a := &attestDaemon{o: o, history: &tpm.Clocks{}, log: log}
	if a.trust, err = readTrust(o.trustFile); err != nil {
		return err
	}
	if a.key, err = identity.LoadKey(o.key, protect); err != nil {
		return err
	}
	if a.now, err = a.arrange(nil); err != nil {
		return err
	}
	if _, listed := a.now.directory.Appraiser(a.key.ID()); !listed {
		log.Warn("the directory does not list this appraiser: nobody will rely on its results", "appraiser", a.key.ID())
	}
	defer onHangup(a.reload)()
	s, err := service.New(service.Config{Key: a.key, Know: a.know, Appraise: a.appraise, Enrol: a.enrol, Refusals: hardware.Refusals(), Log: log})
	if err != nil {
		return err
	}
	conn, err := listenUDP("--listen", o.listen)
	if err != nil {
		return err
	}
	defer conn.Close()
	log.Info("appraiser serves", "appraiser", a.key.ID().Short(), "address", conn.LocalAddr().String(), "constellation", a.trust.Constellation,
		"machines", len(a.now.machines))
	return s.Serve(cmd.Context(), conn)
}

func (a *attestDaemon) reload() {
	next, err := a.arrange(a.desk().directory)
	if err != nil {
		a.log.Error("reload refused; what was in force stays", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = next
	a.log.Info("reloaded", "epoch", next.directory.Epoch, "machines", len(next.machines))
}

func (a *attestDaemon) desk() *attestDesk {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// arrange reads everything that the service judges by.
func (a *attestDaemon) arrange(before *directory.Directory) (*attestDesk, error) {
	d, err := a.trust.openDirectory(a.o.directory, before)
	if err != nil {
		return nil, err
	}
	out := &attestDesk{directory: d.Directory}
	if out.machines, err = readMachines(a.o.machines); err != nil {
		return nil, err
	}
	if out.cores, err = a.o.keepers.policyOf(a.o.manifests); err != nil {
		return nil, err
	}
	c, err := a.o.trust.config()
	if err != nil {
		return nil, err
	}
	c.History = a.history
	verifiers, err := hardware.Verifiers(d.Directory, c)
	if err != nil {
		return nil, err
	}
	if out.appraiser, err = attest.NewAppraiser(attest.AppraiserConfig{Key: a.key, PolicyFor: out.policy, Audience: a.trust.Constellation, TTL: a.o.ttl,
		Verifiers: verifiers, NeedRevocations: a.o.needRevocations}); err != nil {
		return nil, err
	}
	out.enroller = &tpm.Enroller{Key: a.key, Endorsement: hardware.Endorsement(d.Directory, c), TTL: time.Duration(a.o.days) * 24 * time.Hour}
	return out, a.heed(out.appraiser)
}

// heed puts the revocation list into use; one that is older than the one before is refused.
func (a *attestDaemon) heed(x *attest.Appraiser) error {
	if a.o.revocations == "" {
		return nil
	}
	list, err := a.o.keepers.revocations(a.o.revocations)
	if err != nil {
		return err
	}
	if a.list != nil && list.Sequence < a.list.Sequence {
		return attest.ErrRevocationsBack
	}
	a.list = list
	return x.SetRevocations(list)
}

// errUnlistedBeacon is a beacon that the directory does not list, or lists as out of service.
var errUnlistedBeacon = fmt.Errorf("%w: the directory does not list it as a beacon in service", service.ErrStranger)

// know says who may come: beacons of the directory, and cores where manifests say what they may run.
func (a *attestDaemon) know(k identity.Public) error {
	d := a.desk()
	switch k.Role() {
	case identity.RoleBeacon:
		entry, ok := d.directory.Lookup(k.ID())
		if _, out := d.directory.Quarantined(k.ID()); !ok || out || !entry.ValidAt(time.Now().UnixNano()) {
			return errUnlistedBeacon
		}
		return nil
	case identity.RoleCore:
		if len(d.cores.Accept) == 0 {
			return fmt.Errorf("%w: no manifest says what cores may run", service.ErrStranger)
		}
		return nil
	}
	return fmt.Errorf("%w: a key of role %s", service.ErrStranger, k.Role())
}

// policy is what is expected of a subject: of a beacon what its entry says, of everybody else what cores may run.
func (d *attestDesk) policy(subject identity.ID) (attest.Policy, error) {
	if entry, ok := d.directory.Lookup(subject); ok {
		return attest.PolicyOf(entry), nil
	}
	return d.cores, nil
}

func (a *attestDaemon) appraise(evidence []byte, w attest.Want) ([]byte, error) {
	d := a.desk()
	if err := d.directory.ValidAt(w.NowUnixNS); err != nil {
		return nil, err
	}
	return d.appraiser.Appraise(evidence, w)
}

// enrol enrols machines that people have looked at.
func (a *attestDaemon) enrol(application []byte) ([]byte, func([]byte) ([]byte, error), error) {
	d := a.desk()
	challenge, pending, err := d.enroller.Challenge(application, rand.Reader, time.Now())
	if err != nil {
		return nil, nil, err
	}
	if name := pending.Machine(); !slices.Contains(d.machines, machineName(name)) {
		return nil, nil, fmt.Errorf("%w: %x; look at the machine, then put its name into --machines", tpm.ErrNotAdmitted, name)
	}
	return challenge, func(answer []byte) ([]byte, error) { return d.enroller.Finish(pending, answer, time.Now()) }, nil
}

// errMachines reports a line that is no machine.
var errMachines = errors.New("is not a list of machines: one name a line, then a remark")

func readMachines(name string) ([]machineName, error) {
	if name == "" {
		return nil, nil
	}
	data, err := readLimited(name, maxSmallFile)
	if err != nil {
		return nil, err
	}
	var out []machineName
	for i, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		var m machineName
		if err := m.UnmarshalText([]byte(words[0])); err != nil {
			return nil, fmt.Errorf("%s:%d %w (%w)", name, i+1, errMachines, err)
		}
		out = append(out, m)
	}
	return out, nil
}
