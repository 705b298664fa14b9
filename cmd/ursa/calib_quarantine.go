package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/topology/identity"
)

type calibQuarantineFlags struct {
	data  string
	f     int
	widen bool
	lift  []string
}

func calibQuarantineCommand() *cobra.Command {
	var o calibQuarantineFlags
	cmd := &cobra.Command{
		Use:   "quarantine DIR",
		Short: "Put the convicted into the quarantine of a directory's draft, or lift one by hand",
		Long: "Audits a set whose ids are those of beacons, as 'ursa calib run' writes it, and enters who is convicted into the draft of\n" +
			"the constellation in DIR. Nothing counts before the directory's keys have signed it: 'ursa directory sign DIR'.\n" +
			"An audit never lifts a quarantine, for a liar may behave while it is watched; a person does, with --lift.",
		Example: "  ursa calib quarantine dir --data calib/measured && ursa directory sign dir\n" +
			"  ursa calib quarantine dir --data calib/measured --widen\n" +
			"  ursa calib quarantine dir --lift 27ae3f7a",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.IntVar(&o.f, "f", -1, "at most this many nodes lie (default: the fewest that explain the data)")
	flags.BoolVar(&o.widen, "widen", false, "also raise the uncertainty of suspected beacons to what removes every contradiction")
	flags.StringArrayVar(&o.lift, "lift", nil, "`ID` of a beacon to take out of quarantine, or its first digits; repeat for each")
	return cmd
}

func (o *calibQuarantineFlags) run(cmd *cobra.Command, dir string) error {
	if (o.data == "") == (len(o.lift) == 0) {
		return usagef("say either --data DIR, to quarantine who is convicted there, or --lift ID")
	}
	d, err := readDraft(dir)
	if err != nil {
		return err
	}
	var told []string
	if o.data != "" {
		told, err = o.enter(cmd, d)
	} else {
		told, err = o.release(d)
	}
	if err != nil {
		return err
	}
	if err := d.save(dir); err != nil {
		return err
	}
	for _, line := range told {
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d changes in the draft; 'ursa directory sign %s' puts them into force\n", len(told), dir)
	return err
}

// enter adds the convicted, and widens the suspected when asked to.
func (o *calibQuarantineFlags) enter(cmd *cobra.Command, d *draft) (told []string, err error) {
	set, err := calibLoad("--data", o.data)
	if err != nil {
		return nil, err
	}
	var options audit.Options
	if cmd.Flags().Changed("f") {
		options.MaxLiars = &o.f
	}
	r, err := audit.Run(set, options)
	if errors.Is(err, audit.ErrMaxLiars) {
		return nil, usagef("%w", err)
	}
	if err != nil {
		return nil, err
	}
	for _, a := range r.Convicted {
		i := d.beacon(a.ID)
		if i < 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s (%s) is convicted and no beacon of the draft\n", calibShort(a.ID), a.Name)
			continue
		}
		id := d.Beacons[i].ID
		if slices.ContainsFunc(d.Quarantine, func(q draftQuarantine) bool { return q.Beacon == id }) {
			continue
		}
		reason := fmt.Sprintf("audit: contradicted by %d peers at %s speed", a.Contradictions, r.Speed)
		d.Quarantine = append(d.Quarantine, draftQuarantine{Beacon: id, Since: time.Now().UTC(), Reason: reason})
		told = append(told, fmt.Sprintf("quarantined  %s  %s: %s", id.Short(), a.Name, reason))
	}
	if !o.widen {
		return told, nil
	}
	for _, a := range r.Suspected {
		if i := d.beacon(a.ID); i >= 0 && a.PosUncKM*1000 > d.Beacons[i].PosUncM {
			d.Beacons[i].PosUncM = math.Ceil(a.PosUncKM * 1000)
			told = append(told, fmt.Sprintf("widened      %s  %s: position within %.0f km", calibShort(a.ID), a.Name, a.PosUncKM))
		}
	}
	return told, nil
}

// beacon returns the index of the draft's beacon with an id, -1 when there is none.
func (d *draft) beacon(id string) int {
	return slices.IndexFunc(d.Beacons, func(b beaconFile) bool { return b.ID.String() == id })
}

// release takes beacons out of quarantine.
func (o *calibQuarantineFlags) release(d *draft) (told []string, err error) {
	for _, prefix := range o.lift {
		var found []identity.ID
		for _, q := range d.Quarantine {
			if id := q.Beacon.String(); len(prefix) >= 8 && len(prefix) <= len(id) && id[:len(prefix)] == prefix {
				found = append(found, q.Beacon)
			}
		}
		if len(found) != 1 {
			return nil, usagef("--lift %q: %d quarantined beacons have such an id; give 8 to 64 digits of one", prefix, len(found))
		}
		d.Quarantine = slices.DeleteFunc(d.Quarantine, func(q draftQuarantine) bool { return q.Beacon == found[0] })
		told = append(told, "lifted       "+found[0].Short())
	}
	return told, nil
}
