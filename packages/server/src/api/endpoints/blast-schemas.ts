import { Type } from 'typebox'
import { SCHEDULE_TYPES } from '../../campaigns/send-time.ts'
import { CRITERIA } from '../../campaigns/tables.ts'
import { anyMap, choices, flag, nameOf, timeText } from './schemas.ts'

const optionalText = (description: string) => Type.Optional(Type.String({ description }))
const optionalFlag = (description: string) => Type.Optional(flag(description))

/** What `POST blast` takes. */
export const blastParams = Type.Object({
  blast_id: Type.Optional(Type.Integer({ description: 'Change this campaign instead of making one' })),
  name: Type.Optional(nameOf('the campaign')),
  list: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], {
      description: 'The name of the list, or names of several',
    }),
  ),
  suppress_list: optionalText('Names of lists with commas: their members do not get it'),
  schedule_time: Type.Optional(timeText('When; in the past: now. An empty text makes it a draft again')),
  status: Type.Optional(
    Type.Enum(['draft', 'scheduled', 'sent'], { description: '`sent` on a campaign that is sending cancels the rest' }),
  ),
  paused: Type.Optional(Type.Boolean({ description: 'Pause or resume a campaign that is sending' })),
  copy_template: Type.Optional(nameOf('a template whose content is copied now')),
  copy_blast: Type.Optional(Type.Integer({ description: 'A campaign whose content, plan and lists are copied' })),
  eval_template: Type.Optional(nameOf('a template whose content is taken when the sending begins')),
  from_name: optionalText('One line'),
  from_email: optionalText('A verified sender'),
  replyto: optionalText('An address'),
  subject: optionalText('One line of Zephyr'),
  content_html: optionalText('Zephyr'),
  content_text: optionalText('Zephyr; empty: made from the HTML'),
  setup: optionalText('Zephyr that runs first'),
  vars: Type.Optional(anyMap('Replacement vars for all recipients')),
  test_vars: Type.Optional(anyMap('Vars for test messages')),
  test_email: optionalText('Send a test to this address now'),
  seed_emails: Type.Optional(Type.Array(Type.String(), { description: 'Get it as well' })),
  report_email: optionalText('Kept, and not written to yet'),
  labels: Type.Optional(choices('1 sets a label, 0 takes it away')),
  link_params: Type.Optional(anyMap('Parameters added to links')),
  link_domain: optionalText('Kept'),
  ad_plan: optionalText('Kept'),
  data_feed_url: optionalText('Kept, and not fetched yet'),
  is_link_tracking: optionalFlag('Track clicks'),
  is_google_analytics: optionalFlag('Mark links for analytics'),
  is_public: optionalFlag('Kept'),
  autoconvert_text: optionalFlag('Kept: an empty text part is always made from the HTML'),
  capping_enabled: optionalFlag('Leave out who got as many campaigns as the account’s `frequency_cap` allows'),
  schedule_type: Type.Optional(
    Type.Enum([...SCHEDULE_TYPES], {
      description:
        'Same moment for everybody; or the hour at which each person usually opens; or when the person’s own clocks show the time',
    }),
  ),
  fallback_time: optionalText(
    'For people whose own time is not known: a time of day as in `9:00 am`, or a date with a time',
  ),
  email_hour_range: Type.Optional(Type.Integer({ description: 'Spread the sending over so many hours' })),
  abtest: Type.Optional(
    Type.Array(Type.String(), { description: 'Variants: samples of the copied template, or templates' }),
  ),
  test_percent: Type.Optional(Type.Number({ description: 'Share of the people who take part in the comparison' })),
  previous_blast_id: Type.Optional(Type.Integer({ description: 'Only recipients of this earlier campaign …' })),
  message_criteria: Type.Optional(Type.Enum([...CRITERIA], { description: '… who did, or did not do, this' })),
})
