import { _t } from "@web/core/l10n/translation";
import { timeOfDay, useLive } from "./live";

/** Has the notices about what the model has read: see connection.notices. */
export const withReading = (Controller) =>
    class extends Controller {
        get reading() {
            return this.model.root.config.reading;
        }

        get notices() {
            return this.reading?.notices || [];
        }
    };

/** Makes a view refresh itself, with the time of what it shows. It pauses while the page is hidden. */
export const withLive = (Controller) =>
    class extends withReading(Controller) {
        setup() {
            super.setup();
            this.live = useLive({
                read: () => this.model.isReady && this.model.refresh(),
                isPaused: () => this.hasSelectedRecords,
            });
        }

        async toggleLive() {
            this.live.on = !this.live.on;
            if (this.live.on) {
                await this.live.refresh();
            }
        }

        /** When what is shown was read, in UTC. */
        get shownAt() {
            return this.reading?.read_at;
        }

        /** The same on the user's clock, e.g. 14:03:05. */
        get readAt() {
            return timeOfDay(this.shownAt);
        }

        /** A failed refresh, too. */
        get notices() {
            if (!this.live.failure) {
                return super.notices;
            }
            const text = _t("Data from %(time)s. Refresh failed: %(error)s", {
                time: this.readAt,
                error: this.live.failure,
            });
            return [{ type: "danger", text }, ...super.notices];
        }
    };
